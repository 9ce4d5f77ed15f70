"""Whether a model's heads are reached here, by the self-test that every model is put to when it is attached, and a widget can be made."""

from __future__ import annotations

from ..errors import AttnWidgetError
from .report import Finding

_PROMPT = "The cat sat on the mat."


def findings(name: str | None) -> list[Finding]:
    from ..loading import load_model

    try:
        model = load_model(_tiny() if name is None else name)
    except AttnWidgetError as error:
        return [Finding("self-test", "broken", str(error), {"model": name})]
    title = "A tiny GPT-2 with random weights" if name is None else model.name
    data = {"model": model.name, "layers": model.n_layers, "heads": model.n_heads, "passed": model.selftest.passed}
    state = "passed" if model.selftest.passed else "FAILED"
    level = "ok" if model.selftest.passed else "broken"
    said = [Finding("self-test", level, f"{title}: {state}, on {model.selftest.head} of {model.n_layers} × {model.n_heads} heads.", data)]
    for check in model.selftest.checks:
        size = "" if check.difference is None else f" (largest difference {check.difference:.1e})"
        text = f"{check.name}: {check.meaning}{size}." if check.passed else f"{check.name} does not hold: {check.meaning}{size}."
        said.append(Finding("self-test", "ok" if check.passed else "note", text, {"passed": check.passed, "difference": check.difference}))
    said += [Finding("self-test", "note", note) for note in model.selftest.notes]
    return [*said, *_widget(model)]


def _widget(model: object) -> list[Finding]:
    """A widget of it, with one head off: what a page is told when it opens."""
    try:
        from ..widget import AttentionWidget

        widget = AttentionWidget(model, list(range(1, 9)) if model.vocabulary.tokenizer is None else _PROMPT)
    except (AttnWidgetError, OSError) as error:  # OSError: its front end is not there
        return [Finding("self-test", "broken", f"No widget can be made of it: {error}")]
    try:
        widget.ablated = [(model.n_layers // 2, 0)]
        moved = float((widget.run.logits - widget.run.clean.logits).abs().max())
        size = sum(len(value) for value in widget.get_state().values() if isinstance(value, str))
    finally:
        widget.close()
    data = {"moved": moved, "bytes": size}
    if not moved > 0:
        return [Finding("self-test", "broken", "A head that is off in a widget does not move the model's output.", data)]
    text = f"A widget of it is made, and a head that is off there moves the output (by {moved:.1e} at most)."
    return [Finding("self-test", "ok", text, data)]


def _tiny() -> object:
    import torch
    import transformers

    config = transformers.GPT2Config(vocab_size=50, n_positions=16, n_embd=16, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0)
    with torch.random.fork_rng(devices=[]):  # the draws of whoever calls stay theirs
        torch.manual_seed(0)
        return transformers.GPT2LMHeadModel(config).eval()
