"""Weights that `device_map` has offloaded to the CPU or to disk: accelerate's hooks fetch them for the length of a module's forward, and
here for as long as they are read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from torch import nn


@contextmanager
def at_hand(module: nn.Module, *, deep: bool = True) -> Iterator[None]:
    """Inside, the weights of `module` and, if `deep`, of its parts are there; behind it they are as they were."""
    with ExitStack() as fetched:
        for part in module.modules() if deep else [module]:
            if any(parameter.device.type == "meta" for parameter in part.parameters(recurse=False)):
                from accelerate.utils import align_module_device

                fetched.enter_context(align_module_device(part))
        yield
