"""The page about many prompts tells the truth."""

import re

import numpy as np
import pytest

from attnwidget import Head
from attnwidget.many import forget_model


@pytest.mark.demo
def test_the_first_lines_run_and_give_the_numbers_beside_them(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = re.search(r"```python\n(.*?)```", (root / "docs" / "many-prompts.md").read_text(encoding="utf-8"), re.DOTALL)[1]
    assert 'metric="logit_diff"' in code
    names: dict = {}
    # A few heads of all: their means are the same but for rounding, and the others are seconds a prompt.
    exec(code.replace('metric="logit_diff"', 'metric="logit_diff", heads=["L23H3", "L1H5", "L29H1", "L1H3", "L20H0"]'), names)
    forget_model()
    found = names["found"]
    assert found.top(3) == [Head(23, 3), Head(1, 5), Head(29, 1)]
    low, high = found.interval
    assert [f"{part[23, 3]:.2f}" for part in (found.mean, low, high)] == ["2.77", "2.17", "3.37"]
    assert np.isfinite(found.samples).sum() == 15 and (tmp_path / "heads.svg").exists()
