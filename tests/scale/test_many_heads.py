"""A model of 80 layers of 64 heads: every request is answered, or refused in a sentence, and no answer is large."""

import pytest

from attnwidget import AttentionWidget
from attnwidget.widget.ops import OPS
from tests.scale.conftest import narrow
from tests.widget.front import PROMPT, Front
from tests.widget.hostile import good

LAYERS, HEADS = 80, 64
ENOUGH = {"study": {"budget": LAYERS * HEADS}}
"""Each head is tried alone at least."""


@pytest.fixture(scope="module")
def front():
    return Front(AttentionWidget(narrow(LAYERS, HEADS, 64, kv_heads=8), PROMPT, prepend_bos=False))


@pytest.mark.parametrize("op", OPS)
def test_it_is_answered(front, op):
    content, buffers = front.ask(op, **good(front.widget.run_key)[op] | ENOUGH.get(op, {}))
    if op == "embedding":  # this model has a head
        assert content["error"]["kind"] == "refused"
        return
    assert content["ok"], content
    assert sum(map(len, buffers)) < 4_000_000
    front.sent.clear()
