"""Every number of the prediction panel against one computed another way, from the logits of plain forwards."""

import math

import pytest
import torch
import torch.nn.functional as F

from attnwidget.analysis import outcome, whole_prompt

PROMPT = "the cat sat on the mat"
HEADS = ["L1H1", "L2H0"]


@pytest.fixture(scope="module")
def logits(model):
    """Clean and ablated logits [position, token], the latter by a hook on the out-projections written here."""
    ids = torch.tensor([model.encode(PROMPT)])

    def off(heads):
        def pre(_module, args):
            z = args[0].clone()
            for h in heads:
                z[..., h * 8 : (h + 1) * 8] = 0
            return (z,)

        return pre

    layers = model.source.model.layers
    with torch.no_grad():
        clean = model.source(ids).logits[0].double()
        hooks = [layers[1].self_attn.o_proj.register_forward_pre_hook(off([1]))]
        hooks.append(layers[2].self_attn.o_proj.register_forward_pre_hook(off([0])))
        ablated = model.source(ids).logits[0].double()
        for hook in hooks:
            hook.remove()
    return clean, ablated


@pytest.fixture(scope="module")
def result(model):
    return outcome(model.run(PROMPT).ablate(HEADS), k=6)


def test_kl_and_entropy(result, logits):
    clean, ablated = logits
    expected = F.kl_div(ablated[-1].log_softmax(-1), clean[-1].log_softmax(-1), log_target=True, reduction="sum")
    assert result.kl == pytest.approx(expected.item(), rel=1e-4)
    for value, row in ((result.entropy.clean, clean[-1]), (result.entropy.ablated, ablated[-1])):
        assert value == pytest.approx(torch.distributions.Categorical(logits=row).entropy().item(), rel=1e-5)


def test_rows_are_the_most_probable_of_either_run(result, logits):
    p, q = (row[-1].softmax(-1) for row in logits)
    expected = torch.maximum(p, q).topk(6)
    assert [row.id for row in result.rows] == expected.indices.tolist()
    for row in result.rows:
        assert row.clean.probability == pytest.approx(p[row.id].item(), abs=1e-6)
        assert row.ablated.probability == pytest.approx(q[row.id].item(), abs=1e-6)
        assert row.ablated.rank == q.argsort(descending=True).tolist().index(row.id) + 1


def test_default_target_and_foil(result, logits, model):
    clean, ablated = logits
    first = clean[-1].argmax().item()
    overtook = ablated[-1].argmax().item()
    foil = overtook if overtook != first else clean[-1].topk(2).indices[1].item()
    assert (result.target.id, result.against.id) == (first, foil)
    for value, row in ((result.logit_diff.clean, clean[-1]), (result.logit_diff.ablated, ablated[-1])):
        assert value == pytest.approx((row[first] - row[foil]).item(), abs=1e-4)


def test_perplexity_and_first_choices_are_teacher_forced(logits, model):
    result = whole_prompt(model.run(PROMPT).ablate(HEADS))
    ids = torch.tensor(model.encode(PROMPT))
    for value, rows in ((result.perplexity.clean, logits[0]), (result.perplexity.ablated, logits[1])):
        assert value == pytest.approx(math.exp(F.cross_entropy(rows[:-1], ids[1:]).item()), rel=1e-5)
    changed = (logits[0].argmax(-1) != logits[1].argmax(-1)).double().mean().item()
    assert result.top1_changed == changed


def test_another_position_and_chosen_tokens(model, logits):
    result = outcome(model.run(PROMPT).ablate(HEADS), 2, target="dog", against="fish")
    p = logits[1][2].softmax(-1)
    assert result.target.ablated.probability == pytest.approx(p[model.token_id("dog")].item(), abs=1e-6)
    assert result.against.token == "fish" and result.position == 2
    assert "Token 2." in result.note


def test_nothing_ablated(model):
    result = outcome(model.run(PROMPT).ablate([]))
    assert result.kl is None
    assert result.ablated_top.token == result.clean_top.token and result.rows[0].ablated is None
    assert result.logit_diff.ablated is None
    whole = whole_prompt(model.run(PROMPT).ablate([]))
    assert whole.perplexity.ablated is None and whole.top1_changed is None and "nothing ablated" in repr(whole)
    assert "nothing ablated" in repr(result) and list(result.to_frame()) == [
        "token",
        "id",
        "clean_probability",
        "clean_logit",
        "clean_rank",
    ]


def test_a_prompt_of_one_token_has_no_perplexity(model):
    assert whole_prompt(model.run("cat").ablate("L1H1")).perplexity.clean is None


def test_the_note_says_what_was_done(result):
    assert result.note == "Last token. z set to zero at all positions, weights as shipped, exact, float32."


def test_the_table_has_both_sides(result):
    frame = result.to_frame()
    assert len(frame) == 6 and {"clean_probability", "ablated_probability", "ablated_rank"} <= set(frame)
    assert "KL" in repr(result)
