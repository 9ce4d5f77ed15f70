"""Marks by which two things are seen to be the same to the bit: a model, the random numbers, a run, an answer."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass

import numpy as np
import torch
from torch import Tensor, nn

from attnwidget import Run
from attnwidget.model import Model

from ..models import state


def of_tensor(tensor: Tensor) -> tuple:
    """Shape, type and bytes."""
    whole = tensor.detach().cpu().contiguous().reshape(-1)
    return (*tensor.shape, str(whole.dtype), hashlib.blake2b(whole.view(torch.uint8).numpy().tobytes(), digest_size=12).hexdigest())


def of_module(module: nn.Module) -> dict[str, object]:
    """Parameters, gradients and buffers to the bit, those that are not saved as well; switches, hooks, forwards, the configuration."""
    named = [*module.named_parameters(), *module.named_buffers()]
    configs = {id(c): c for m in module.modules() if (c := getattr(m, "config", None)) is not None and hasattr(c, "to_dict")}
    return {
        **state(module),
        "weights": {name: (id(value), of_tensor(value)) for name, value in named if value.numel()},
        "grads": {name: None if value.grad is None else of_tensor(value.grad) for name, value in module.named_parameters()},
        "config": [repr(sorted(c.to_dict().items(), key=lambda item: item[0])) for c in configs.values()],
        "attributes": {name: sorted(m.__dict__) for name, m in module.named_modules()},
    }


def of_chance() -> tuple:
    """The state of every generator that a person may have seeded."""
    return of_tensor(torch.get_rng_state()), repr(np.random.get_state()), random.getstate()


def of_run(run: Run) -> dict[str, object]:
    """Every tensor that a run gives."""
    model = run.model
    seen: dict[str, object] = {f"resid {layer}": of_tensor(run.resid_pre(layer)) for layer in range(model.n_layers + 1)}
    for layer in range(model.n_layers):
        seen[f"z {layer}"] = of_tensor(run.z(layer))
        if model.selftest.reads_patterns:
            seen[f"pattern {layer}"] = of_tensor(run.patterns(layer))
    seen["logits"] = of_tensor(run.logits)
    if model.answer != "none":
        seen["row"] = of_tensor(run.logits_at(0)), of_tensor(run.logits_at())
    return {**seen, "tokens": tuple(run.tokens), "ids": run.ids}


def of_answer(answer: object) -> object:
    """All that a result says, numbers to the bit; equal marks mean the same answer."""
    if isinstance(answer, Tensor):
        return of_tensor(answer)
    if isinstance(answer, np.ndarray):
        return answer.tolist() if answer.dtype == object else (*answer.shape, answer.dtype.str, answer.tobytes())
    if isinstance(answer, Run):
        return answer.ids, of_tensor(answer.resid_pre(answer.model.n_layers))
    if isinstance(answer, Model):
        return id(answer.engine)
    if is_dataclass(answer):
        return type(answer).__name__, {f.name: of_answer(getattr(answer, f.name)) for f in fields(answer) if f.name != "origin"}
    if hasattr(answer, "to_dict") and hasattr(answer, "columns"):
        return {str(name): of_answer(answer[name].to_numpy()) for name in answer.columns}
    if isinstance(answer, Mapping):
        return {str(key): of_answer(value) for key, value in answer.items()}
    if isinstance(answer, (str, bytes, int, type(None))):
        return answer
    if isinstance(answer, (float, np.floating)):
        return float(answer).hex()
    if isinstance(answer, Iterable):
        return [of_answer(one) for one in answer]
    return type(answer).__name__


def arrays_of(answer: object) -> list[np.ndarray]:
    """The arrays that a result keeps."""
    if isinstance(answer, np.ndarray):
        return [answer]
    if is_dataclass(answer) and not isinstance(answer, (Run, Model)):
        return [array for f in fields(answer) for array in arrays_of(getattr(answer, f.name))]
    if isinstance(answer, Mapping):
        return [array for value in answer.values() for array in arrays_of(value)]
    if isinstance(answer, (list, tuple)):
        return [array for value in answer for array in arrays_of(value)]
    return []
