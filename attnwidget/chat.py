"""A prompt given as chat messages, as the text that the model was trained to see: the tokenizer's own chat template, applied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .errors import PromptError

_FORM = '[{"role": "user", "content": "..."}]'


def is_chat(prompt: object) -> bool:
    """Whether a prompt is a list of chat messages, and not a text or a list of ids."""
    return isinstance(prompt, Sequence) and not isinstance(prompt, str) and any(isinstance(message, Mapping) for message in prompt)


def templated(tokenizer: object, messages: Sequence[Mapping]) -> str:
    """The text of `messages` with the tokenizer's chat template, up to where the model is to answer.

    After a user's message that is the beginning of an answer; a last message of the assistant is taken to be its answer's beginning, and
    left open. The template may put in a message of its own (SmolLM2 does, a system message); it is shown like any other text.
    """
    for message in messages:
        if not isinstance(message, Mapping) or not all(isinstance(message.get(key), str) for key in ("role", "content")):
            raise PromptError(f"A chat message has a role and a content, both texts, as in {_FORM}; this is {message!r}.")
    if getattr(tokenizer, "chat_template", None) is None:
        raise PromptError("This model's tokenizer has no chat template, so messages have no text: give the prompt as a text.")
    open_ended = messages[-1]["role"] == "assistant"
    try:
        return tokenizer.apply_chat_template(
            [dict(message) for message in messages],
            tokenize=False,
            add_generation_prompt=not open_ended,
            continue_final_message=open_ended,
        )
    except Exception as error:  # what a template raises is its own: roles in an order it does not take, most often
        raise PromptError(f"The tokenizer's chat template does not take these messages ({error}).") from None
