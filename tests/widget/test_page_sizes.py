"""How large pages of a real model are."""

import pytest

from attnwidget import AttentionWidget, Model, load_model

TEXT = (
    "When Mary and John went to the store, John gave a drink to Mary, and then the two of them walked home along the river. "
    "It was raining, so they stopped under a bridge and talked about the book that Mary had been reading all week, "
    "which was about a sailor who had lost his ship in the north and came home years later to find that nobody but his dog remembered him. "
)


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model("smollm2-135m")


def test_270_heads_and_64_tokens_with_every_single_ablation(model):
    w = AttentionWidget(model, model.encode(TEXT)[:64])
    assert (w.n_layers * w.n_heads, len(w.tokens)) == (270, 64)
    page = w.page(["patterns", "ablations", "lens"])
    assert len(page.header["patterns"]["heads"]) == 270
    assert sum(one["op"] == "outcome" for one in page.header["answers"]) == 271
    assert page.nbytes < 3_000_000
    assert w.page_parts().chosen < 3_000_000


def test_12_heads_and_512_tokens_of_text(model):
    w = AttentionWidget(model, model.encode(TEXT * 9)[:512])
    assert len(w.tokens) == 512
    page = w.page([], heads=[(20 + i // 4, i % 4) for i in range(12)])
    assert len(page.header["patterns"]["heads"]) == 12
    assert page.nbytes < 2_400_000
