"""`HookedTransformer` is gone from TransformerLens 4, so these tests have an environment of their own: `make test-legacy`."""

from importlib import metadata

collect_ignore = (
    ["test_generate.py", "test_hooked.py", "test_inside.py", "test_scores.py", "test_sweep.py"]
    if int(metadata.version("transformer-lens").split(".")[0]) >= 4
    else []
)
