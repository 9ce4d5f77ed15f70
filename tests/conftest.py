"""Shared by every test: where things are, and where the copies of the demo models are kept."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Of this checkout, so that tests neither read nor fill the user's own cache. Set before anything loads a model,
# and inherited by the kernels that tests start.
os.environ.setdefault("ATTNWIDGET_CACHE", str(ROOT / ".cache" / "attnwidget"))
# Two threads: what CI has, and the same sums in the same order on every machine.
os.environ.setdefault("OMP_NUM_THREADS", "2")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

PROMPT = "When Mary and John went to the store, John gave a drink to"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Marks follow from the folder, and what is quick to fail comes first."""
    order = {"browser": 2, "packaging": 1}
    for item in items:
        for name in order:
            if item.path.is_relative_to(ROOT / "tests" / name):
                item.add_marker(name)
    items.sort(key=lambda item: max((order[mark.name] for mark in item.iter_markers() if mark.name in order), default=0))


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def prompt() -> str:
    """The prompt that the design's numbers are about: 14 tokens, no BOS."""
    return PROMPT
