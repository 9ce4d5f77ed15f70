"""Long messages in pieces: no piece is longer than asked for, and together they are the message to the byte."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnwidget import AttentionWidget
from attnwidget.widget.pieces import MOST, in_pieces, put_together
from tests.small import small_model

from .front import CLEAN, Front, array

LARGE = 300  # tokens: three heads of 300 x 300 float32 are 1.1 MB


def test_a_short_message_is_sent_as_it_is():
    content, buffers = {"id": "a-1", "ok": True, "result": {"x": 1}}, [b"123"]
    assert in_pieces(content, buffers) == [(content, buffers)]
    assert in_pieces(content, None) == [(content, [])]


@given(
    st.dictionaries(st.text(), st.text() | st.integers() | st.none(), max_size=4),
    st.lists(st.binary(max_size=60), max_size=4),
    st.integers(1, 50),
    st.randoms(),
)
def test_pieces_in_any_order_are_the_message(result, buffers, most, random):
    content = {"id": "a-1", "ok": True, "result": result}
    pieces = in_pieces(content, buffers, most)
    if len(pieces) == 1 and "piece" not in pieces[0][0]:
        assert sum(map(len, buffers)) + len(json.dumps(content)) <= most
        return
    assert all(len(one) == 1 and len(one[0]) <= most for _, one in pieces)
    random.shuffle(pieces)
    assert put_together(pieces) == (content, buffers)


def test_no_message_of_a_widget_is_longer_than_hosts_let_through():
    widget = AttentionWidget(small_model(n_ctx=400), " ".join(["cat", "dog", "sat"] * (LARGE // 3)))
    sent = []
    front = Front(widget)
    take = widget.send
    widget.send = lambda content, buffers=None: (sent.append((content, buffers or [])), take(content, buffers))
    result, buffers = front.result("patterns", run_key=widget.run_key, ablation=CLEAN, heads=[[1, 1], [2, 0], [3, 3]])
    maps = array(result["maps"], buffers)
    assert maps.nbytes > 2 * MOST, "not long enough for this test"
    assert len(sent) == -(-(maps.nbytes + len(json.dumps(result))) // MOST)
    assert max(len(json.dumps(content)) + sum(map(len, buffers)) for content, buffers in sent) < MOST + 300
    assert maps[2].tolist() == widget.run.pattern("L3H3").tolist()


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_json_cannot_say_is_refused_and_not_sent(bad):
    with pytest.raises(ValueError, match="JSON"):
        in_pieces({"id": "a-1", "result": bad}, None)
