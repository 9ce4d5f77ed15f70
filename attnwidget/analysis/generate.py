"""Generation: what the model goes on to say, beside what it says with heads ablated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from numbers import Integral

import torch

from ..errors import AttnWidgetError, ModelError, PromptTooLongError
from ..model import Model
from ..run import AblatedRun, Run
from .forced import forced
from .generation import Forced, Generation, Side, first_difference
from .sampling import Sampling, make_sampling
from .streams import Stream, is_local

Progress = Callable[[int, int, str, Generation], None]


def refused_generation(model: Model) -> str | None:
    """Why a model generates nothing, or None where it does."""
    if model.answer == "next":
        return None
    does = {
        "mask": "fills in masks and sees what comes after them",
        "class": "answers with classes of the whole text",
        "none": "has no head that answers",
    }
    return f"{model.name} {does[model.answer]}, so there is no next token to go on with: load a decoder (GPT-2, Llama, …ForCausalLM)."


def generate(
    run: Run,
    max_new_tokens: int = 40,
    *,
    temperature: float = 0.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int = 0,
    forced_on: Side = "control",
    cache: bool = True,
    progress: Progress | None = None,
) -> Generation:
    """What follows the prompt of `run`: with nothing ablated (`control`), and with the ablation of `run` at every step.

    Args:
        run: a run, for the control alone, or an ablated one; with no heads ablated both texts are the same, KL and changes 0.
        max_new_tokens: at most so many; a side ends before that at an end-of-text token, or when prompt and generated tokens fill the
            model's context.
        temperature, top_k, top_p: 0 takes the first choice (of equal ones the lowest id). Else `softmax(logits / temperature)` is drawn
            from, of which `top_k` keeps the k most probable tokens and then `top_p` the fewest whose probabilities reach p.
        seed: of the random numbers, one for each step, that both sides share: where nothing differs, the texts do not.
        forced_on: whose text the two are compared on, teacher-forced (`Generation.forced`).
        cache: False does without a key-value cache, for comparison: slower, the same text but for the rounding of sums.
        progress: called as `progress(done, total, text, partial)` after each token; what it raises ends the generation.

    What the ablation does where the text goes on:

    - With `positions=None` it acts on the generated positions too; positions that are given are the prompt's, and it acts on these alone.
    - `mean` is over the prompt of `run` (or the reference prompts), and stays that while the text grows.
    - `resample` has a z for each position of the prompt and for no other: it acts on these alone, and on what follows through them.
    - `zero`, `scale`, `sparsify` act on each position by itself. These five go with a cache, where the model has one that was seen to give
      what whole passes give.
    - `permute`, `uniform`, `previous`, `random` and `first_token` need the whole text: at each step this is `model.run(ids).ablate(...)`
      of the text so far, without a cache. `random` and `permute` are drawn anew at each length.

    Raises `ModelError` for models that do not predict the next token, `PromptTooLongError` for a prompt that fills the context.
    """
    sampling = _checked(run, max_new_tokens, temperature, top_k, top_p, seed, forced_on, cache)
    random = torch.Generator().manual_seed(int(seed) % 2**63)
    ends = end_ids(run.model)
    sides = [run.clean, run] if run.ablation.heads else [run.clean]
    streams = [Stream(side, sampling, int(max_new_tokens), ends, cache) for side in sides]
    note = _note(run, sampling, int(seed), streams[-1].cached, cache)
    total = int(max_new_tokens) * len(streams)

    def so_far(compared: Forced | None = None) -> Generation:
        control, ablated = streams[0], streams[1] if len(streams) > 1 else None
        return Generation(
            prompt_length=len(run.ids),
            control=control.continuation(),
            ablated=ablated.continuation() if ablated else None,
            diverges=first_difference(control.steps, ablated.steps) if ablated else None,
            forced=compared,
            cached=streams[-1].cached,
            note=note,
            prompt_ids=run.ids,
            dtype=run.model.precision,
        )

    while any(stream.ended is None for stream in streams):
        u = torch.rand((), generator=random, dtype=torch.float64).item()
        for stream in streams:
            if stream.ended is None:
                stream.advance(u)
                if progress is not None:
                    progress(sum(len(s.steps) for s in streams), total, "Generating", so_far())
    if len(streams) == 1:
        said = so_far()
        if not isinstance(run, AblatedRun):
            return said
        # Nothing is ablated in it: the same text, and what is compared on it is the same.
        return replace(said, ablated=said.control, forced=forced(run, streams[0].ids, forced_on))
    text = streams[0 if forced_on == "control" else 1].ids
    return so_far(forced(run, text, forced_on))


def end_ids(model: Model) -> frozenset[int]:
    """The tokens that end a text: the tokenizer's end of text, and those of the model's generation config."""
    source = getattr(model.source, "original_model", model.source)
    config = getattr(source, "generation_config", None)
    found = [getattr(model.vocabulary.tokenizer, "eos_token_id", None), getattr(config, "eos_token_id", None)]
    return frozenset(i for one in found if one is not None for i in ([one] if isinstance(one, Integral) else one))


def _checked(
    run: object,
    max_new_tokens: object,
    temperature: object,
    top_k: object,
    top_p: object,
    seed: object,
    forced_on: object,
    cache: object,
) -> Sampling:
    if not isinstance(run, Run):
        raise AttnWidgetError(f"generate takes a run, model.run(prompt) or run.ablate(heads), not {type(run).__name__}.")
    model, n = run.model, len(run.ids)
    if (reason := refused_generation(model)) is not None:
        raise ModelError(reason)
    if isinstance(max_new_tokens, bool) or not isinstance(max_new_tokens, Integral) or max_new_tokens < 1:
        raise AttnWidgetError(f"max_new_tokens must be a whole number of 1 or more, not {max_new_tokens!r}.")
    if isinstance(seed, bool) or not isinstance(seed, Integral):
        raise AttnWidgetError(f"seed must be a whole number, not {seed!r}.")
    if forced_on not in ("control", "ablated"):
        raise AttnWidgetError(f"forced_on must be 'control' or 'ablated', whose text both are compared on, not {forced_on!r}.")
    if not isinstance(cache, bool):
        raise AttnWidgetError(f"cache must be True or False, not {cache!r}.")
    sampling = make_sampling(temperature, top_k, top_p)
    if model.n_ctx is not None and n >= model.n_ctx:
        raise PromptTooLongError(
            f"The prompt fills the context: it has {n:,} tokens, and {model.name} takes {model.n_ctx:,}, so none can follow. "
            "Shorten the prompt by as many tokens as are to be generated."
        )
    if run.outdated:
        raise ModelError("The model's weights have changed since this prompt was run: run it again with model.run(...).")
    return sampling


def _note(run: Run, sampling: Sampling, seed: int, cached: bool, wanted: bool) -> str:
    model, ablation = run.model, run.ablation
    how = sampling.describe(seed) + (", the same random numbers for both" if sampling.temperature and ablation.heads else "")
    parts = [*([_scope(run)] if ablation.heads else []), how]
    if not cached:
        why = "this model keeps no key-value cache" if model.engine.anatomy.step is None else "a key-value cache gives other numbers here"
        parts.append("whole passes" + (f": {why}" if wanted and is_local(run) else ""))
    parts += [model.processing, model.precision]
    line = "; ".join(parts)
    return f"{line[0].upper()}{line[1:]}."


def _scope(run: Run) -> str:
    """What the ablation does where the text goes on."""
    ablation, done = run.ablation, run.ablation.describe()
    if ablation.positions is not None:
        return done
    if ablation.mode == "resample":
        return f"{done.removesuffix(' at all positions')} at the prompt's positions only, as the reference has no others"
    if ablation.mode == "mean" and ablation.reference is None:
        return f"{done}, generated ones too (their mean is the prompt's)"
    if not is_local(run):
        return f"{done} of the text so far, anew at each token"
    return f"{done}, generated ones too"
