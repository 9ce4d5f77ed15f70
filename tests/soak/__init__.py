"""Hundreds of random gestures on the real widget in a real JupyterLab, and whether memory levels off: `python -m tests.soak`.

Not collected by pytest: it takes a quarter of an hour. What it saw last is in `benchmarks/results/soak.json`.
"""
