"""The exceptions a person can meet. All of them are `ValueError`s, and each message is one sentence that
names the value that was given, the values that would have been right, and the way out."""


class AttnWidgetError(ValueError):
    """Base class: something asked for cannot be done, and the message says why and what to do instead."""


class HeadError(AttnWidgetError):
    """A head was named in a form that is not understood, or lies outside the model."""


class PromptError(AttnWidgetError):
    """A prompt is empty, too long for the model, or cannot be turned into tokens."""


class PromptTooLongError(PromptError):
    """A prompt has more tokens than the model takes; its end may be kept."""


class TokenError(AttnWidgetError):
    """A token was named that is not one token of the model's vocabulary."""


class PositionError(AttnWidgetError):
    """A position lies outside the prompt."""


class ModeError(AttnWidgetError):
    """An ablation mode that does not exist, is undefined for these heads, or does not reach this model."""


class ModelError(AttnWidgetError):
    """A model that cannot be loaded or has no part this was asked of."""


class OutOfMemoryError(AttnWidgetError):
    """One row of a computation takes more memory than there is, or than `model.batch_budget` allows. What takes more than a row has been
    halved before."""


class ArrayError(AttnWidgetError):
    """An array that holds something else than what can be drawn, or not as many rows as there are tokens."""


class ExecutorError(AttnWidgetError):
    """An executor that cannot be used for this, or that gave up before all prompts were done."""
