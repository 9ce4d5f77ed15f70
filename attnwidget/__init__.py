"""attnwidget: the attention heads of a transformer, live in a notebook cell.

The names are in `public.py`. They are imported when the first of them is asked for, since PyTorch and `transformers` take seconds that
`attnwidget --help` should not.
"""

import importlib.util
import logging
from typing import TYPE_CHECKING

# At once, and not with the rest: it is what says why the rest cannot be imported.
from .health import doctor  # noqa: F401

if TYPE_CHECKING:
    from .public import *  # noqa: F403

logging.getLogger(__name__).addHandler(logging.NullHandler())


def __getattr__(name: str) -> object:
    # What Python itself asks of any module is not here, and must not cost the import.
    if name.startswith("__") and name != "__all__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if importlib.util.find_spec(f"{__name__}.{name}") is not None:
        return importlib.import_module(f"{__name__}.{name}")
    public = importlib.import_module(f"{__name__}.public")
    globals().update({known: getattr(public, known) for known in public.__all__}, __all__=public.__all__)
    try:
        return globals()[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None


def __dir__() -> list[str]:
    return sorted({*globals(), *__getattr__("__all__")})
