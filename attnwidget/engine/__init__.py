"""The one engine: record a clean pass, resume it from any layer with edits, capture what is asked for.

`anatomy.py` says what a model must offer; `plain.py`, `bridge.py` and `hooked.py` find it in the three kinds of model;
`engine.py` is written once against it; `selftest.py` proves on attaching that edits reach the heads they name.
"""

from .engine import Edit, Engine, Pass, Recording
from .selftest import Check, SelfTest

__all__ = ["Check", "Edit", "Engine", "Pass", "Recording", "SelfTest"]
