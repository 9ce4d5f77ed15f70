"""Generation and `study_ids` as a page asks for them."""

import threading

import numpy as np
import pytest

from attnwidget import AttentionWidget, generate, load_model
from attnwidget.analysis.generate import end_ids
from tests.models import fresh, tokenizer

from .front import CLEAN, PROMPT, Front

OFF = CLEAN | {"heads": [[1, 1], [2, 0]]}
ASK = {"max_new_tokens": 8, "temperature": 0, "top_k": 0, "top_p": 1, "seed": 0, "forced_on": "control"}


@pytest.fixture
def widget(model):
    widget = AttentionWidget(model, PROMPT)
    yield widget
    widget.close()


@pytest.fixture
def front(widget):
    return Front(widget)


def test_the_result_has_the_form_the_page_reads(widget, front):
    result, _ = front.result("generate", run_key=widget.run_key, ablation=OFF, **ASK)
    expected = generate(widget.run.clean.ablate(["L1H1", "L2H0"]), 8)
    assert set(result) >= {"prompt_length", "control", "ablated", "diverges", "forced", "cached", "note"}
    assert result["prompt_length"] == len(widget.tokens) and result["cached"] is True
    for side in ("control", "ablated"):
        found, wanted = result[side], getattr(expected, side)
        assert set(found) == {"steps", "text", "ended"} and found["text"] == wanted.text and found["ended"] == wanted.ended
        assert set(found["steps"][0]) == {"id", "token", "probability", "special", "alternatives"}
        assert set(found["steps"][0]["alternatives"][0]) == {"id", "token", "probability"}
        assert [step["id"] for step in found["steps"]] == [step.id for step in wanted.steps]
    assert set(result["forced"]) == {"on", "tokens", "kl", "perplexity", "top1_changed"}
    assert result["forced"]["perplexity"] == {"clean": expected.forced.perplexity.clean, "ablated": expected.forced.perplexity.ablated}
    assert result["prompt_ids"] == list(widget.run.ids)


def test_nothing_ablated_is_the_control_alone(widget, front):
    result, _ = front.result("generate", run_key=widget.run_key, ablation=CLEAN, **ASK | {"temperature": 1.0, "top_p": 0.9, "top_k": 5})
    assert result["ablated"] is None and result["forced"] is None and result["diverges"] is None


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"max_new_tokens": 513}, r"1 to 512.*513.*in a cell"),
        ({"max_new_tokens": 0}, r"1 to 512.*0"),
        ({"max_new_tokens": "many"}, r"'many'.*whole"),
        ({"temperature": None}, r"temperature.*None"),
        ({"top_k": -1}, r"top_k.*-1"),
        ({"top_p": True}, r"top_p.*True"),
        ({"top_p": 2}, r"top_p.*2"),
        ({"seed": 0.5}, r"0\.5.*whole"),
        ({"forced_on": "clean"}, r"'control' or 'ablated'"),
        ({"ablation": OFF | {"heads": [[9, 9]]}}, r"L9H9"),
    ],
)
def test_wrong_arguments_are_refused(widget, front, given, says):
    import re

    error = front.error("generate", **({"run_key": widget.run_key, "ablation": OFF, **ASK} | given))
    assert error["kind"] == "refused" and re.search(says, error["message"]), error


def test_partial_results_come_and_a_cancelled_generation_leaves_the_panel_usable(model):
    widget, cancelled = AttentionWidget(model, PROMPT), threading.Event()

    def heard(content):
        if content.get("partial") and not cancelled.is_set() and content["partial"]["ablated"]["steps"]:
            cancelled.set()
            widget._receive(widget, {"id": content["id"], "op": "cancel"}, [])

    before = generate(widget.run.clean.ablate(["L1H1"]), 5)
    front = Front(widget, heard=heard)
    ends = end_ids(model)
    model.source.generation_config.eos_token_id = None  # goes on until it is stopped
    try:
        content, _ = front.ask("generate", run_key=widget.run_key, ablation=OFF, **ASK | {"max_new_tokens": 50})
    finally:
        model.source.generation_config.eos_token_id = sorted(ends)
    assert content["error"]["kind"] == "cancelled" and cancelled.is_set()
    partials = [c["partial"] for c, _ in front.sent if c.get("partial")]
    assert partials and partials[0]["forced"] is None and partials[0]["control"]["ended"] is None
    assert generate(widget.run.clean.ablate(["L1H1"]), 5) == before
    assert front.result("outcome", run_key=widget.run_key, ablation=OFF, position=-1, target="", against="", k=3)[0]["rows"]
    widget.close()


def test_a_click_overtakes_between_two_tokens(model):
    widget, asked = AttentionWidget(model, PROMPT), []

    def heard(content):
        if "progress" in content and not asked:
            asked.append(front.send("outcome", run_key=widget.run_key, ablation=OFF, position=-1, target="", against="", k=3))

    front = Front(widget, heard=heard)
    request = front.send("generate", run_key=widget.run_key, ablation=OFF, **ASK | {"max_new_tokens": 40})
    result, _ = front.reply(request)
    replies = [content["id"] for content, _ in front.sent if "ok" in content]
    assert replies == [asked[0], request], "the click is answered before the text is done"
    assert [s["id"] for s in result["result"]["ablated"]["steps"]] == [
        s.id for s in generate(widget.run.clean.ablate(["L1H1", "L2H0"]), 40).ablated.steps
    ]
    widget.close()


def test_a_replaced_prompt_ends_it(widget, front):
    assert front.error("generate", run_key="run-0", ablation=CLEAN, **ASK)["kind"] == "cancelled"
    assert front.error("study_ids", run_key="run-0", ids=[2, 3])["kind"] == "cancelled"


def test_an_encoder_is_refused():
    from tests.models import subject

    widget = AttentionWidget(subject("bert").model, "When Mary")
    error = Front(widget).error("generate", run_key=widget.run_key, ablation=CLEAN, **ASK)
    assert error["kind"] == "refused" and "no next token" in error["message"]
    widget.close()


# -- study_ids ----------------------------------------------------------------------------------------------------------


def test_generated_tokens_become_the_prompt(widget, front):
    generated = generate(widget.run.clean.ablate(["L1H1"]), 8)
    for side in ("control", "ablated"):
        key, ids = widget.run_key, generated.ids(side)
        result, _ = front.result("study_ids", run_key=key, ids=ids)
        assert result["run_key"] == widget.run_key != key
        assert list(widget.run.ids) == ids and len(widget.tokens) == len(ids)
        front.result("prompt", text=PROMPT, prepend_bos=False, keep="all")
        assert widget.prompt == PROMPT


@pytest.mark.parametrize("adds_bos", [True, False])
@pytest.mark.parametrize("starts", [True, False])
def test_special_tokens_and_bos_are_written_out(adds_bos, starts):
    words = tokenizer(adds_bos=adds_bos)
    widget = AttentionWidget(load_model(fresh("llama").model.source, tokenizer=words), "When Mary", prepend_bos=starts)
    before = list(widget.run.ids)
    assert (before[0] == 0) == starts
    ids = [*words(" and John", add_special_tokens=False)["input_ids"], 1, 0, 2]
    Front(widget).result("study_ids", run_key=widget.run_key, ids=before + ids)
    assert list(widget.run.ids) == before + ids and widget.prompt == "When Mary and John<pad><bos><unk>"
    widget.close()


def test_tokens_that_their_text_is_not_cut_into_are_studied_as_they_came():
    words = tokenizer()
    widget = AttentionWidget(load_model(fresh("llama").model.source, tokenizer=words), "When Mary")
    front, before = Front(widget), list(widget.run.ids)
    letters = [words.convert_tokens_to_ids(letter) for letter in ("Ġ", "M", "a", "r", "y")]
    front.result("study_ids", run_key=widget.run_key, ids=before + letters)
    assert widget.prompt == "When Mary Mary"
    assert list(widget.run.ids) == before + letters != widget.model.encode(widget.prompt)
    assert len(widget.tokens) == len(before) + 5
    # another text of the same prompt, from there
    front.result("study_ids", run_key=widget.run_key, ids=before + letters[:2])
    assert list(widget.run.ids) == [*before, *letters[:2]]
    # a text that is typed, the very same one even, is cut as the tokenizer cuts it
    text = widget.prompt
    front.result("prompt", text=text, prepend_bos=False, keep="all")
    assert list(widget.run.ids) == widget.model.encode(text)
    widget.close()


def test_ids_that_are_none_are_refused_and_change_nothing():
    widget = AttentionWidget(load_model(fresh("llama").model.source, tokenizer=tokenizer()), "When Mary")
    key = widget.run_key
    for ids, says in (([], "one or more"), ([1.5], "1.5"), ([10**6], "1000000"), ("Mary", "list"), (None, "list"), ([5] * 65, "65")):
        assert says in Front(widget).error("study_ids", run_key=key, ids=ids)["message"]
    assert widget.run_key == key and widget.prompt == "When Mary"
    widget.close()


def test_a_text_that_fits_is_studied_though_its_words_would_be_cut_into_more():
    words = tokenizer()
    widget = AttentionWidget(load_model(fresh("llama").model.source, tokenizer=words), "When Mary")
    # a token of many letters, cut into bytes when its neighbours run into it
    ids = [int(i) for i in np.random.default_rng(0).integers(3, 330, 64)]
    assert len(widget.model.vocabulary.encode(widget.model.vocabulary.spelled(ids)[0])) > 64, "the text alone would be too long"
    Front(widget).result("study_ids", run_key=widget.run_key, ids=ids)
    assert list(widget.run.ids) == ids
    widget.close()


def test_positions_stay_those_of_the_prompt_and_resample_is_refused_beforehand():
    widget = AttentionWidget(load_model(fresh("llama").model.source, tokenizer=tokenizer()), "When Mary", ablated=["L0H1"], positions=[-1])
    before, key = list(widget.run.ids), widget.run_key
    Front(widget).result("study_ids", run_key=key, ids=[*before, 5, 6])
    assert widget.run.ablation.positions == (len(before) - 1,)
    widget.mode, widget.reference, widget.positions = "resample", ["Alice Bob"], []
    said = Front(widget).error("study_ids", run_key=widget.run_key, ids=[*before, 5])
    assert said["kind"] == "refused" and "choose another mode" in said["message"]
    assert len(widget.tokens) == len(before) + 2
    widget.close()


@pytest.mark.demo
def test_a_chat_and_its_answer_become_the_prompt():
    model = load_model("smollm2-135m")
    widget = AttentionWidget(model, [{"role": "user", "content": "Say hello."}])
    before, ids = list(widget.run.ids), model.encode("Hello!<|im_end|>")
    Front(widget).result("study_ids", run_key=widget.run_key, ids=before + ids)
    assert list(widget.run.ids) == before + ids and widget.prompt.endswith("<|im_start|>assistant\nHello!<|im_end|>")
    widget.close()
