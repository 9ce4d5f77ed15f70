"""Chat messages as a prompt: the text and the ids that the tokenizer's own template gives."""

import pytest

from attnwidget import AttentionWidget, PromptError, load_model
from tests.models import fresh, tokenizer
from tests.small import small_model

ASKED = [{"role": "user", "content": "Who wrote Faust?"}]
TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}"
)


@pytest.fixture
def chatty():
    """A small Llama with a template that begins with BOS, as Llama's own does."""
    words = tokenizer(adds_bos=True)
    words.chat_template = TEMPLATE
    return load_model(fresh("llama").model.source, tokenizer=words)


@pytest.mark.demo
def test_smollm2s_own_template_is_applied_and_shown():
    model = load_model("smollm2-135m")
    words = model.vocabulary.tokenizer
    run = model.run(ASKED)
    expected = words.apply_chat_template(ASKED, add_generation_prompt=True, tokenize=True, return_dict=False)
    assert list(run.ids) == list(expected)
    assert run.text == words.apply_chat_template(ASKED, add_generation_prompt=True, tokenize=False)
    assert run.text.endswith("<|im_start|>assistant\n") and "You are a helpful AI assistant" in run.text
    assert run.tokens[0] == "<|im_start|>"
    assert {"<|im_start|>", "<|im_end|>"} <= set(model.vocabulary.specials)
    widget = AttentionWidget(model, ASKED)
    assert widget.prompt == run.text and widget.tokens == run.tokens
    assert "<|im_start|>" in widget.facts["special"]
    widget.close()


def test_bos_comes_from_the_template_and_only_once(chatty):
    bos = chatty.vocabulary.bos_id
    assert chatty.vocabulary.prepends_bos
    run = chatty.run(ASKED)
    assert run.ids[0] == bos and run.ids.count(bos) == 1
    assert chatty.run(ASKED, prepend_bos=True).ids[:2] == (bos, bos), "who asks for it gets it"
    widget = AttentionWidget(chatty)
    assert widget.prepend_bos
    widget.prompt = ASKED
    assert list(widget.run.ids) == list(run.ids) and not widget.prepend_bos
    widget.close()


def test_an_answer_that_was_begun_is_left_open(chatty):
    begun = chatty.chat([*ASKED, {"role": "assistant", "content": "It was"}])
    assert begun.endswith("[assistant] It was")
    assert chatty.chat(ASKED).endswith("[assistant]")


def test_a_tokenizer_without_a_template_says_so():
    with pytest.raises(PromptError, match="no chat template.*as a text"):
        small_model().run(ASKED)


@pytest.mark.parametrize(
    "messages",
    [[{"role": "user"}], [{"role": "user", "content": 5}], [{"role": "user", "content": "a"}, "b"], [{"text": "a"}]],
)
def test_what_is_no_message_is_refused_with_the_form(chatty, messages):
    with pytest.raises(PromptError, match='"role": "user", "content"'):
        chatty.run(messages)
    widget = AttentionWidget(chatty, "the cat")
    with pytest.raises(PromptError, match="role"):
        widget.prompt = messages
    assert widget.prompt == "the cat"
    widget.close()


def test_what_a_template_does_not_take_is_said_in_its_words(chatty):
    chatty.vocabulary.tokenizer.chat_template = "{{ raise_exception('roles must alternate') }}"
    with pytest.raises(PromptError, match="roles must alternate"):
        chatty.run(ASKED)
