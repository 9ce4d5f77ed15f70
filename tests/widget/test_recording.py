"""What a page is made of: every recorded answer is the one that a panel gets from the kernel."""

import json
import math
import random

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from attnwidget import AttentionWidget, AttnWidgetError, load_model
from attnwidget.analysis import outcome
from attnwidget.analysis.embedding import embedding_change
from attnwidget.widget.ops import OPS
from attnwidget.widget.recordable import PARTS
from attnwidget.widget.recording import record, unqueued
from attnwidget.widget.state import State
from attnwidget.widget.wire import pack
from tests.models import HEADS, LAYERS, VOCAB, name_of, subject, tokenizer
from tests.small import small_model

from .front import PROMPT, Front, array

MODELS = [
    ("gpt2", "plain"),
    ("llama", "plain"),
    ("bert", "plain"),
    ("bert-classifier", "plain"),
    ("bert-base", "plain"),
    ("llama", "bridge"),
]
TEXT = "Mary and John went to the store.\nThe cat"
ALWAYS = {"patterns", "ablations", "scores", "overview", "weighted maps", "inside"}


def widget(pair, **traits) -> AttentionWidget:
    subject_ = subject(*pair)
    prompt = TEXT.replace("store", "[MASK]") if subject_.model.answer == "mask" else TEXT
    return AttentionWidget(subject_.model, prompt, selected=["L1H2", "L2H0"], shown=["L2H0"], **traits)


def every_part(w) -> list[str]:
    return [part.name for part in w.page_parts().parts]


def revived(value, buffers):
    """JSON with its arrays back."""
    if isinstance(value, dict) and "$buffer" in value:
        return np.frombuffer(buffers[value["$buffer"]], value["dtype"]).reshape(value["shape"])
    if isinstance(value, dict):
        return {name: revived(item, buffers) for name, item in value.items()}
    return [revived(item, buffers) for item in value] if isinstance(value, list) else value


def assert_alike(found, wanted, at="", rel=2e-4, absolute=1e-5):
    """The same structure and texts; numbers to what float32 leaves of them when rows are run together."""
    if isinstance(wanted, np.ndarray):
        np.testing.assert_allclose(found, wanted, rtol=rel, atol=absolute, err_msg=at)
    elif isinstance(wanted, dict):
        assert set(found) == set(wanted), at
        for name in wanted:
            assert_alike(found[name], wanted[name], f"{at}.{name}", rel, absolute)
    elif isinstance(wanted, list):
        assert len(found) == len(wanted), at
        for i, (a, b) in enumerate(zip(found, wanted, strict=True)):
            assert_alike(a, b, f"{at}[{i}]", rel, absolute)
    elif isinstance(wanted, float) and isinstance(found, (int, float)):
        assert math.isclose(found, wanted, rel_tol=rel, abs_tol=absolute), (at, found, wanted)
    else:
        assert found == wanted, at


@pytest.mark.parametrize("pair", MODELS, ids=name_of)
def test_every_answer_is_what_the_kernel_says(pair):
    w = widget(pair, ablated=["L1H1", "L2H3"])
    parts = every_part(w)
    assert set(parts) >= ALWAYS
    header, buffers = record(w, parts)
    asked = [(one["op"], json.dumps(one["args"], sort_keys=True)) for one in header["answers"]]
    assert len(asked) == len(set(asked)), "a question is recorded twice"
    for one in header["answers"]:
        args = {**one["args"], "run_key": w.run_key, "patience": None}
        assert one["args"]["run_key"] == "recorded"
        wanted = revived(*pack(OPS[one["op"]].answer(w._session, args, unqueued())))
        found = revived(one["result"], buffers)
        if one["op"] == "patterns":  # to 8 bits
            assert_alike(found["maps"] / 255, wanted["maps"], rel=0, absolute=0.5001 / 255)
            assert_alike(found["change"], wanted["change"], rel=0, absolute=0.5001 / 255)
            continue
        if one["op"] == "scores":
            wanted["seconds"] = 0.0
        if one["op"] == "scores" and one["args"]["method"] == "ablation":
            np.testing.assert_allclose(found["values"], wanted["values"], rtol=2e-3, atol=2e-6)
            wanted["values"] = found["values"]
        assert_alike(found, wanted, one["op"])


@pytest.mark.parametrize("pair", MODELS, ids=name_of)
def test_every_single_head_is_what_ablating_it_gives(pair):
    w = widget(pair, mode="mean")
    answers = [one for one in record(w, ["ablations"])[0]["answers"] if one["args"].get("ablation", {}).get("heads")]
    run = w.run.clean
    assert [one["args"]["ablation"]["heads"] for one in answers] == [[[layer, head]] for layer in range(LAYERS) for head in range(HEADS)]
    for one in answers:
        (head,) = one["args"]["ablation"]["heads"]
        assert one["args"]["ablation"]["mode"] == "mean"
        ablated = run.ablate([tuple(head)], "mean")
        if w.model.answer == "none":
            for row in one["result"]["rows"]:
                wanted = embedding_change(ablated, pooling=row["pooling"])
                assert row["l2"] == pytest.approx(wanted.l2, rel=1e-4)
                assert row["cosine"] == pytest.approx(wanted.cosine_distance, rel=1e-3)
            continue
        wanted = pack(outcome(ablated))[0]
        assert_alike(one["result"], wanted, str(head))
        assert one["result"]["kl"] == pytest.approx(wanted["kl"], rel=1e-3, abs=1e-9)


@pytest.mark.parametrize("pair", MODELS, ids=name_of)
def test_patterns_are_those_of_the_run_to_eight_bits(pair):
    w = widget(pair)
    header, buffers = record(w, ["patterns"])
    patterns = header["patterns"]
    n = len(w.tokens)
    assert (patterns["queries"], patterns["keys"], patterns["causal"]) == (n, n, w.model.causal)
    assert patterns["heads"] == [[layer, head] for layer in range(LAYERS) for head in range(HEADS)]
    maps = revived(patterns["maps"], buffers)
    for (layer, head), cells in zip(patterns["heads"], maps, strict=True):
        wanted = w.run.clean.pattern((layer, head)).numpy()
        square = np.zeros((n, n))
        if w.model.causal:
            square[np.tril_indices(n)] = cells
        else:
            square = cells.reshape(n, n)
        assert np.abs(square / 255 - wanted).max() <= 0.5001 / 255


def test_the_same_widget_twice_gives_the_same_bytes():
    def make():
        chosen = {"selected": ["L1H1"], "shown": ["L1H1"], "ablated": ["L0H2"], "other": "the dog sat on the mat"}
        return AttentionWidget(small_model(), PROMPT, **chosen)

    first, again = make(), make()
    parts = every_part(first)
    assert "comparison" in parts
    html = first.page(parts).html()
    assert again.page(parts).html() == html
    # What was measured meanwhile, in steps that hang on the clock, is not what is recorded.
    third = make()
    assert third.scores is not None
    assert third.page(parts).html() == html


def test_nothing_in_the_widget_changes():
    w = widget(("llama", "plain"), ablated=["L1H1"], other="", score="output_norm")
    traits = {name: getattr(w, name) for name in State.class_traits(sync=True)}
    w.page(every_part(w))
    assert {name: getattr(w, name) for name in State.class_traits(sync=True)} == traits
    assert (w.study, w.circuit, w.comparison) == (None, None, None)
    other = AttentionWidget(small_model(), "the cat sat on the mat", other="the dog sat on the mat")
    other.page(["comparison"])
    assert other.comparison is None


def test_what_was_asked_in_a_view_is_recorded(model):
    w = AttentionWidget(model, PROMPT)
    view = Front(w)
    parts = every_part(w)
    assert not {"study", "circuit"} & set(parts)
    for name in ("study", "circuit"):
        with pytest.raises(AttnWidgetError, match="none was asked for"):
            w.page([name])
    study = {"ablation": w._intervention, "position": -1, "target": "", "beam": 2, "max_heads": 2, "budget": 40}
    said, _ = view.result("study", run_key=w.run_key, **study)
    how = {"max_new_tokens": 4, "temperature": 0.0, "top_k": 0, "top_p": 1, "seed": 3, "forced_on": "control"}
    generated, _ = view.result("generate", run_key=w.run_key, ablation=w._intervention, **how)
    header, buffers = record(w, ["study", "generation"])
    found = {one["op"]: one for one in header["answers"]}
    assert_alike(revived(found["study"]["result"], buffers), json.loads(json.dumps(said)), rel=1e-6)
    assert found["study"]["args"] == {**json.loads(json.dumps(study)), "run_key": "recorded"}
    assert found["generate"]["args"]["seed"] == 3
    assert found["generate"]["result"]["control"]["text"] == generated["control"]["text"]
    w.prompt = "the dog sat on a mat"
    assert "study" not in every_part(w)


def test_parts_that_are_not_there_are_refused():
    w = widget(("bert-classifier", "plain"))
    with pytest.raises(AttnWidgetError, match="no part 'pattern'.*'patterns', 'patterns of selected heads', 'ablations'"):
        w.page(["patterns", "pattern"])
    with pytest.raises(AttnWidgetError, match="'lens'.*no logit lens"):
        w.page(["lens"])
    with pytest.raises(AttnWidgetError, match="no second prompt"):
        w.page(["comparison"])
    with pytest.raises(AttnWidgetError, match="no prompt"):
        AttentionWidget(small_model()).page()
    assert set(every_part(w)) == set(PARTS) - {"lens", "generation", "study", "circuit", "comparison"}


def test_heads_choose_whose_patterns_are_in():
    w = widget(("llama", "plain"))
    for page in (w.page(["patterns", "ablations"], heads=["L0H1", "L2H3"]), w.page([], heads=[(0, 1), "2.3"])):
        assert page.header["patterns"]["heads"] == [[0, 1], [2, 3]]
        assert "thumbnails" in {one["op"] for one in page.header["answers"]}
    assert w.page(["patterns of selected heads"]).header["patterns"]["heads"] == [[2, 0], [1, 2]]
    assert w.page([]).header["patterns"] is None
    with pytest.raises(AttnWidgetError, match="L9H9"):
        w.page(heads=["L9H9"])


def test_what_is_written_is_the_page_and_progress_may_end_it(tmp_path):
    w, said = widget(("gpt2", "plain")), []
    path = w.to_html(tmp_path / "page.html", progress=lambda *step: said.append(step))
    assert path.read_text(encoding="utf-8") == w.page().html()
    done = [step[0] / step[1] for step in said if step[1] >= 1000]
    assert done == sorted(done)
    assert any("heads ablated" in step[2] for step in said)

    def stop(done, total, text):
        if "ablated" in text and done:
            raise KeyboardInterrupt

    fresh = widget(("gpt2", "plain"))
    with pytest.raises(KeyboardInterrupt):
        fresh.to_html(tmp_path / "other.html", progress=stop)
    assert not (tmp_path / "other.html").exists()
    with pytest.raises(AttnWidgetError, match="no folder"):
        w.to_html(tmp_path / "nowhere" / "page.html", progress=lambda *step: pytest.fail("computed before the path was looked at"))


def test_sizes_are_told_beforehand():
    encoder = {part.name: part for part in widget(("bert-base", "plain")).page_parts().parts}
    assert encoder["ablations"].bytes > 100
    w = widget(("llama", "plain"), ablated=["L1H1"])
    parts = w.page_parts()
    assert parts.base == w.page([]).nbytes
    for part in parts.parts:
        grown = w.page([part.name]).nbytes - parts.base
        assert part.bytes == pytest.approx(grown, rel=0.1 if part.exact else 0.6, abs=3000), part
    assert {part.name for part in parts.parts if part.exact} >= {"patterns", "patterns of selected heads"}
    assert w.page().nbytes == pytest.approx(parts.chosen, rel=0.1)
    frame = parts.to_frame()
    assert list(frame.columns) == ["name", "label", "bytes", "exact", "seconds", "chosen"]
    assert "✓ patterns" in repr(parts)
    seconds = [{part.name: part.seconds for part in told.parts}["ablations"] for told in (parts, w.page_parts())]
    assert seconds[0] > 0
    assert seconds[1] is None  # they are there by now


def test_a_page_that_a_view_asks_for_is_the_one_a_cell_makes(model):
    w = AttentionWidget(model, PROMPT)
    view = Front(w)
    offered, _ = view.result("page_parts", run_key=w.run_key)
    names = [part["name"] for part in offered["parts"] if part["chosen"]]
    said, buffers = view.result("page", run_key=w.run_key, parts=names)
    assert said["name"] == "attnwidget-LlamaForCausalLM.html"
    assert array(said["html"], buffers).tobytes().decode() == w.page(names).html()
    assert "no part 'x'" in view.error("page", run_key=w.run_key, parts=["x"])["message"]
    assert "list of names" in view.error("page", run_key=w.run_key, parts=[1])["message"]


def test_of_a_prompt_that_is_gone_nothing_is_recorded(model):
    w = AttentionWidget(model, PROMPT)
    view = Front(w)
    key = w.run_key
    w.prompt = "the dog sat"
    assert view.error("page", run_key=key, parts=[])["kind"] == "cancelled"
    assert view.error("page_parts", run_key=key)["kind"] == "cancelled"


def test_after_training_a_page_is_of_the_weights_as_they_are():
    model = small_model()
    w = AttentionWidget(model, PROMPT)
    key, before = w.run_key, outcome(w.run).clean_top.clean.logit
    with torch.no_grad():
        model.source.model.layers[0].self_attn.v_proj.weight.mul_(1.5)
    header = w.page(include=[]).header
    found = next(one["result"] for one in header["answers"] if one["op"] == "outcome")["clean_top"]["clean"]["logit"]
    assert w.run_key != key and found != before
    assert found == pytest.approx(outcome(model.run(PROMPT)).clean_top.clean.logit, rel=1e-6)


def test_a_mode_that_leaves_heads_undefined_and_one_that_is_refused():
    w = widget(("llama", "plain"), mode="previous")
    answers = record(w, ["ablations"])[0]["answers"]
    heads = [one["args"]["ablation"]["heads"][0] for one in answers if one["args"]["ablation"]["heads"]]
    assert heads == [[layer, head] for layer in (1, 2) for head in range(HEADS)]
    resampled = widget(("llama", "plain"), mode="resample")
    assert "ablations" not in every_part(resampled)
    with pytest.raises(AttnWidgetError, match="reference"):
        resampled.page(["ablations"])
    with_reference = AttentionWidget(small_model(), "the cat sat", mode="resample", reference=["the dog sat"])
    assert "ablations" in every_part(with_reference)


def test_the_chosen_target_and_foil_are_in_every_row():
    w = widget(("llama", "plain"), target=" Mary", against=" John", position=4)
    for one in record(w, ["ablations"])[0]["answers"]:
        if one["op"] == "outcome":
            assert (one["args"]["position"], one["args"]["target"], one["args"]["against"]) == (4, " Mary", " John")
            assert (one["result"]["target"]["token"], one["result"]["against"]["token"]) == (" Mary", " John")


def test_twelve_heads_and_512_tokens_are_small():
    torch.manual_seed(0)
    shape = {"num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2, "hidden_size": 32, "intermediate_size": 48}
    config = LlamaConfig(**shape, vocab_size=VOCAB, max_position_embeddings=520, initializer_range=0.3)
    model = load_model(LlamaForCausalLM(config).eval(), tokenizer=tokenizer())
    words, text = random.Random(0), ""
    while len(model.encode(text + " Mary")) < 512:
        text += words.choice([" Mary", " and John", " went", " to the store", " gave", " a cat,", " home", ".\nAlice"])
    text += "." * (512 - len(model.encode(text)))
    w = AttentionWidget(model, text)
    assert (w.n_layers * w.n_heads, len(w.tokens)) == (12, 512)
    page = w.page()
    assert len(page.header["patterns"]["heads"]) == 12
    assert sum(one["op"] == "outcome" for one in page.header["answers"]) == 13
    assert page.nbytes < 2_400_000


def test_heads_are_plain_numbers():
    header, _ = record(widget(("llama", "plain")), ["ablations"])
    assert all(type(head) is list for one in header["answers"] for head in one["args"].get("ablation", {}).get("heads", []))
    assert json.loads(json.dumps(header)) == header
    assert header["state"]["shown"] == [[2, 0]]
