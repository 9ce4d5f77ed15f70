"""A prompt has the same scores however it was padded, to the bit."""

import numpy as np
import pytest
import torch

from attnwidget import PromptError, detect_dataset, score_dataset

from ..models import IDS, OTHER_IDS, subject

PROMPTS = [IDS, OTHER_IDS[:4], IDS[:6]]
# Absolute positions, rotary ones, an encoder with learnt ones, alibi, and positions that skip padding.
ARCHITECTURES = ["gpt2", "llama", "gptneox", "bert", "bloom", "roberta", "opt"]


def batch(side):
    rows, masks = [], []
    for ids in PROMPTS:
        gap = [1] * (9 - len(ids))
        rows.append([*ids, *gap] if side == "right" else [*gap, *ids])
        kept, out = [1] * len(ids), [0] * len(gap)
        masks.append([*kept, *out] if side == "right" else [*out, *kept])
    return {"input_ids": torch.tensor(rows), "attention_mask": torch.tensor(masks)}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_padded_equals_unpadded(name):
    model = subject(name).model
    plain = score_dataset(model, PROMPTS)
    for side in ("left", "right"):
        padded = score_dataset(model, batch(side))
        np.testing.assert_array_equal(padded.samples, plain.samples)
        assert padded.per_prompt().equals(plain.per_prompt())


def test_unpadded_scores_are_those_of_the_model_itself():
    """The oracle is a copy of the model, hooked by hand, on the whole padded row with its mask and positions: what is cut off by us it must
    leave out by itself."""
    s = subject("gpt2")
    found = score_dataset(s.model, batch("left"))
    given = batch("left")
    ids, mask = given["input_ids"][1:2], given["attention_mask"][1:2]
    positions = (mask.cumsum(-1) - 1).clamp(min=0)

    def answer(head=None):
        def off(module, inputs):
            z = inputs[0].clone()
            z.view(*z.shape[:2], 4, 8)[:, :, head] = 0
            return (z,)

        hook = s.projection(1).register_forward_pre_hook(off) if head is not None else None
        with torch.no_grad():
            logits = s.twin(input_ids=ids, attention_mask=mask, position_ids=positions).logits[0, -1].double()
        if hook is not None:
            hook.remove()
        return logits.log_softmax(-1)

    clean = answer()
    for head in range(4):
        kl = (clean.exp() * (clean - answer(head))).sum().item()
        assert found.samples[1, 1, head] == pytest.approx(kl, rel=1e-4)


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_tokenizers_own_batch_is_read(side):
    s = subject("bert")
    texts = ["When Mary and John went", "The cat", "Alice and Bob went home to the store"]
    s.tokenizer.padding_side = side
    found = score_dataset(s.model, s.tokenizer(texts, padding=True, return_tensors="pt"))
    np.testing.assert_array_equal(found.samples, score_dataset(s.model, texts).samples)
    rows = [dict(zip(("input_ids", "attention_mask"), row, strict=True)) for row in zip(*batch(side).values(), strict=True)]
    np.testing.assert_array_equal(score_dataset(s.model, rows).samples, score_dataset(s.model, PROMPTS).samples)


def test_a_batch_that_says_which_text_is_which_is_read():
    """BertTokenizer's has token_type_ids, as a tensor."""
    s = subject("bert")
    found = s.tokenizer(["When Mary and John went", "The cat"], padding=True, return_tensors="pt")
    given = {**found, "token_type_ids": torch.zeros_like(found["input_ids"])}
    np.testing.assert_array_equal(score_dataset(s.model, given).samples, score_dataset(s.model, dict(found)).samples)
    with pytest.raises(PromptError, match="pairs of texts"):
        score_dataset(s.model, given | {"token_type_ids": torch.ones_like(found["input_ids"])})


def test_kinds_of_padded_prompts_are_those_of_unpadded_ones():
    model = subject("llama").model
    for name, values in detect_dataset(model, batch("left"), ["induction", "entropy"]).samples.items():
        np.testing.assert_array_equal(values, detect_dataset(model, PROMPTS, [name]).samples[name])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"input_ids": [[5, 6, 7]], "attention_mask": [[1, 0, 1]]}, "attention_mask of prompt 0 has a hole at position 1"),
        ({"input_ids": [[5, 6], [7, 8]], "attention_mask": [[1, 1], [2, 1]]}, "attention_mask of prompt 1 has 2"),
        ({"input_ids": [[5, 6]], "attention_mask": [[1, 1, 1]]}, "as many rows"),
        ({"input_ids": [5, 6]}, r"input_ids must be \[prompt, position\]"),
        ({"input_ids": [[5, 6]], "attention_mask": [[1, 1]], "token_type_ids": [[0, 1]]}, "pairs of texts"),
    ],
)
def test_what_no_padding_is_is_refused(given, said):
    with pytest.raises(PromptError, match=said):
        score_dataset(subject("llama").model, given)


def test_a_row_of_nothing_but_padding_fails_alone():
    given = {"input_ids": [[5, 6, 7], [1, 1, 1]], "attention_mask": [[1, 1, 1], [0, 0, 0]]}
    found = score_dataset(subject("llama").model, given)
    assert [(one.index, "empty" in one.reason) for one in found.failures] == [(1, True)]
