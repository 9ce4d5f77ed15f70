"""The one engine: record a clean pass, resume it from any layer with edits, capture what is asked for.

`anatomy.py` says what a model must offer; `plain.py`, `bridge.py` and `hooked.py` find it in the three kinds of model;
`engine.py` is written once against it; `wavefront.py` runs many variants in one pass, `decode.py` one text token by token;
`selftest.py` proves on attaching that edits reach the heads they name.
"""

from .decode import Decoder, cache_proved
from .engine import Edit, Engine, Pass, Recording
from .qk_taps import scores_refused
from .selftest import Check, SelfTest
from .wavefront import wavefront

__all__ = ["Check", "Decoder", "Edit", "Engine", "Pass", "Recording", "SelfTest", "cache_proved", "scores_refused", "wavefront"]
