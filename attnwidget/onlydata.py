"""What loaders may do with the files of a model: read data. Nothing is unpickled, and no code that lies beside the weights runs unasked.

`transformers` and TransformerLens have a flag for such code, but TransformerLens 4 imports some of it without the flag (for a folder that
says it is Baichuan, InternLM 2 or OpenELM), and both read a pickle where there is nothing else. So the two places that all of them go
through are closed while a model loads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import ModelError

# Two loads at once would put back each other's closed doors.
_one_at_a_time = threading.RLock()

OWN = "load_model(AutoModelForCausalLM.from_pretrained(...), tokenizer=AutoTokenizer.from_pretrained(...))"


@contextmanager
def only_data(trust_remote_code: bool) -> Iterator[list[ModelError]]:
    """Inside, `torch.load` is refused, and so is the import of a model's own code unless `trust_remote_code`; gives what was refused.

    Threads that were there before are not concerned: a user's own may go on reading pickles. Those that the loader starts are.
    """
    import torch
    from transformers import dynamic_module_utils

    refused: list[ModelError] = []
    # The threads themselves: the number of one that has ended is given to another.
    others = {*threading.enumerate()} - {threading.current_thread()}

    def closed(kept: Callable, why: Callable[..., str]) -> Callable:
        def door(*args: object, **kwargs: object) -> object:
            if threading.current_thread() in others:
                return kept(*args, **kwargs)
            refused.append(ModelError(why(*args, **kwargs)))
            raise refused[-1]

        return door

    doors = [(torch, "load", _pickled)]
    if not trust_remote_code:
        doors.append((dynamic_module_utils, "get_class_in_module", _code))
    with _one_at_a_time:
        kept = [getattr(module, name) for module, name, _ in doors]
        try:
            for (module, name, why), function in zip(doors, kept, strict=True):
                setattr(module, name, closed(function, why))
            yield refused
        finally:
            for (module, name, _), function in zip(doors, kept, strict=True):
                setattr(module, name, function)


def _pickled(file: object = "", *_args: object, **_kwargs: object) -> str:
    name = Path(file).name if isinstance(file, (str, Path)) else "a file"
    return (
        f"its weights are pickled ({name}), and reading a pickle can run code: save it as safetensors (save_pretrained does), "
        f"or read it yourself and hand it in, {OWN}."
    )


def _code(_name: object = "", module_path: object = "", **_kwargs: object) -> str:
    return (
        f"it brings code of its own ({Path(str(module_path)).name}), which is not run: pass trust_remote_code=True if you have read it "
        "and trust it."
    )
