"""`study`: which set of heads makes a token the first choice, or moves the answer most."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from numbers import Integral, Real

from ..ablation import MODES, Ablation, make_ablation
from ..errors import AttnWidgetError, ModeError, ModelError, TokenError
from ..heads import Head
from ..run import Run
from .certificate import certificate, verdict
from .measure import Measure, make_measure
from .method import Progress
from .recipe import ablate_code, alike, how_code, options_code, run_code
from .score import METHODS, scorable
from .search import Plan, Search
from .studied import FirstChoice, Restored, Study, StudySet, Token, Tried
from .trials import Attempt, Heads, Trials, without
from .wording import number, percent

_LISTS = {"attribution": "attribution of the margin at each set", "direct": "direct logit attribution"}
_PLANNED = {"beam": 4, "max_heads": 8, "candidates": 16, "budget": 4000, "random": 16}
_DONE_TO_HEADS = {"positions": None, "scale": 0.0, "threshold": 0.1}


def study(
    run: Run,
    target: str | int | None = None,
    *,
    mode: str = "zero",
    positions: Sequence[int] | int | None = None,
    reference: object = None,
    scale: float = 0.0,
    threshold: float = 0.1,
    seed: int = 0,
    beam: int = 4,
    max_heads: int = 8,
    candidates: int = 16,
    budget: int = 4000,
    position: int | None = None,
    random: int = 16,
    progress: Progress | None = None,
    partial: Callable[[Study], None] | None = None,
) -> Study:
    """The smallest set of heads found that, ablated together, makes `target` the first choice; or, without a target, for each size the
    set found that moves the answer most. `docs/studies.md` has the algorithm and its costs.

    What is to grow is `margin = logit(target) - max of all other logits`, above 0 (a tie does not count), or `KL(before || after)` in
    nats. No rule says that the best set of a size holds the best of the size below: heads stand in for each other. So a set is searched
    for, and what was tried is counted: a verdict of `minimum` means that every smaller set was run.

    Args:
        run: with an ablated run, what is off stays off, its heads are no candidates, and effects are measured from that run's answer.
        target: a token (or class) that is not the first choice. None (or "") for the set that moves the answer most.
        mode, positions, reference, scale, threshold, seed: what is done to heads, as in `Run.ablate`. The seed is also that of the random
            sets.
        beam: how many sets of each size are gone on from.
        max_heads: the largest size.
        candidates: how many heads are taken from each of three lists as those to be added to a set: by exact effect alone, by attribution
            at that set, and by direct logit attribution there (targets only).
        budget: sets that may be run; at least one for each head. What is left when a set was found goes into trying all smaller sets, where
            they fit. Random sets, and those that a found set is reduced by, are not counted.
        position: where the answer is read; by default the last token, or the first mask.
        random: how many random sets of each size are run beside, for comparison; 0 for none.
        progress: `progress(sets run, sets planned so far, text)` between passes; what it raises ends the study.
        partial: called with the study as far as it has come, `verdict` None.

    Raises `AttnWidgetError` where `target` is the first choice already, `ModelError` for a model that answers nothing, or has one output.
    """
    return prepare(
        run,
        target,
        mode=mode,
        positions=positions,
        reference=reference,
        scale=scale,
        threshold=threshold,
        seed=seed,
        beam=beam,
        max_heads=max_heads,
        candidates=candidates,
        budget=budget,
        position=position,
        random=random,
    ).conduct(progress, partial)


@dataclass(frozen=True)
class Prepared:
    """A checked question."""

    trials: Trials
    plan: Plan
    ablation: Ablation
    """Of one head: its mode and parameters are those of all."""
    python: str
    how: tuple[str, ...] | None
    """That mode and those parameters, as arguments of `run.ablate`. None where heads are off in another way."""

    def conduct(
        self,
        progress: Progress | None = None,
        partial: Callable[[Study], None] | None = None,
        attempt: Attempt | None = None,
    ) -> Study:
        """Runs it. `attempt` may give passes up, see `trials.Attempt`."""
        if attempt is not None:
            self.trials.attempt = attempt

        def told(search: Search) -> None:
            if partial is not None:
                partial(self._result(search, finished=False))

        search = Search(self.trials, self.plan, progress or (lambda done, total, text: None), told)
        search.go()
        return self._result(search, finished=True)

    def _result(self, search: Search, *, finished: bool) -> Study:
        trials, model, run = self.trials, self.trials.run.model, self.trials.run
        target = None if trials.target is None else Token(trials.target, model.token(trials.target))
        found = trials.found
        back = {} if found is None else {head: without(found, head) for head in found}
        made = Study(
            target=target,
            position=run.position(trials.measure.position),
            before=self._set(()),
            sizes=tuple(self._set(trials.best(size)) for size in trials.sizes),
            random=tuple(search.random),
            found=None if found is None else self._set(found),
            restored=tuple(Restored(head, trials[rest].margin) for head, rest in back.items() if not rest or rest in trials),
            tried=tuple(Tried(size, trials.count(size), trials.of(size), trials.undefined(size)) for size in sorted(trials.by_size)),
            verdict=verdict(search) if finished else None,
            certificate=certificate(search) if finished else (),
            sets=trials.sets,
            forwards=trials.forwards,
            note=self._note(search),
            python=self.python,
            rerun=None,
            baseline=self.ablation.describe(),
            conditional=run.ablation.heads,
            processing=model.processing,
            dtype=model.precision,
        )
        if not made.heads or self.how is None:
            return made
        return replace(made, rerun=f"run.{ablate_code(sorted([*run.ablation.heads, *made.heads]), self.how)}")

    def _set(self, heads: Heads) -> StudySet:
        trial, token = self.trials[heads], self.trials.run.model.token
        targeted = self.trials.target is not None
        return StudySet(
            heads=heads,
            margin=trial.margin if targeted else None,
            kl=trial.kl,
            first=FirstChoice(trial.first, token(trial.first), trial.probability),
            target_probability=trial.target_probability if targeted else None,
        )

    def _note(self, search: Search) -> str:
        run, plan = self.trials.run, self.plan
        model, off = run.model, run.ablation
        parts = ["Whole text" if model.answer == "class" else f"Position {run.position(self.trials.measure.position)}"]
        parts.append(self.ablation.describe())
        if off.heads:
            parts.append(f"with {', '.join(map(str, off.heads))} ablated already ({off.describe()})")
            if self.how is None:
                parts.append("no single run.ablate does both")
        parts += [f"no {_LISTS[name]}: {reason.rstrip('.')}" for name, reason in search.candidates.refused.items()]
        parts += [f"beam {plan.beam}, {plan.candidates} candidates a list, seed {plan.seed}"]
        parts += [model.processing, model.precision, "exact"]
        return f"{'; '.join(parts)}."


def prepare(
    run: Run,
    target: str | int | None = None,
    *,
    mode: str = "zero",
    reference: object = None,
    seed: int = 0,
    position: int | None = None,
    **given: object,
) -> Prepared:
    """Checks what `study` was asked; further arguments are as it takes them, but for progress and partial."""
    if not isinstance(run, Run):
        raise AttnWidgetError(f"study takes a run, model.run(prompt) or run.ablate(heads), not {type(run).__name__}.")
    if not isinstance(mode, str):
        raise ModeError(f"mode must be the name of one ablation mode, not {mode!r}: there are {', '.join(MODES)}.")
    if target is not None and not isinstance(target, (str, Integral)):
        raise TokenError(f"target must be one token, given as its text or its id, not {type(target).__name__}.")
    for name in ("scale", "threshold"):
        if not isinstance(value := given.get(name, _DONE_TO_HEADS[name]), Real):
            raise ModeError(f"{name} must be one number, not {value!r}.")
    model = run.model
    if run.outdated:
        raise ModelError("The model's weights have changed since this prompt was run: run it again with model.run(...).")
    if position is not None and model.answer == "class":
        raise AttnWidgetError(f"{model.name} answers once for the whole text, so there is no position: leave position={position!r} out.")
    measure = make_measure(run, "kl", position=position)
    _check_answer(run, measure)
    heads = scorable(run, METHODS["ablation"], mode)
    plan = _plan(heads, seed, **{name: given.get(name, default) for name, default in _PLANNED.items()})
    drawn = mode not in MODES or "seed" in MODES[mode].params  # else the seed is that of the random sets alone
    parameters = {name: given.get(name, default) for name, default in _DONE_TO_HEADS.items()} | {"seed": seed if drawn else 0}
    runs = run._references(reference)

    def ablate(some: Sequence[Head]) -> Ablation:
        return make_ablation(run.clean, list(some), mode, reference=runs, **parameters)

    one = ablate(heads[:1])
    wanted = None if target in (None, "") else model.token_id(target)
    trials = Trials(run, measure, wanted, ablate, heads)
    if wanted is not None:
        _check_target(trials)
    python = _python(run, wanted, one, plan, None if position is None else measure.position)
    one_way = not run.ablation.heads or alike(run.ablation, one)
    return Prepared(trials, plan, one, python, tuple(how_code(one)) if one_way else None)


def _plan(heads: Sequence[Head], seed: int, **given: object) -> Plan:
    if isinstance(seed, bool) or not isinstance(seed, Integral):
        raise AttnWidgetError(f"seed must be a whole number, not {seed!r}.")
    for name, value in given.items():
        least = 0 if name == "random" else 1
        if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
            raise AttnWidgetError(f"{name} must be a whole number of {least} or more, not {value!r}.")
    if not heads:
        raise AttnWidgetError("Every head is ablated already, so there is none left to study: switch some on again.")
    if given["budget"] < len(heads):
        raise AttnWidgetError(
            f"The budget, the sets that may be run, must be at least {len(heads)}, one set for each head alone, not {given['budget']}."
        )
    return Plan(**{name: int(value) for name, value in given.items()}, seed=int(seed))


def _check_answer(run: Run, measure: Measure) -> None:
    row = measure.row(measure.before)
    if row.shape[-1] < 2:
        raise ModelError(f"{run.model.name} has one output, so no set of heads can make another the first choice.")
    if row.isnan().any() or not row.isfinite().any():
        raise ModelError("The answer that the study would start from is no number at this position: look at run.logits_at(position).")


def _check_target(trials: Trials) -> None:
    name, before = trials.run.model.token(trials.target), trials.before
    if math.isnan(before.margin):
        raise AttnWidgetError(f"The logit of {name!r} is not finite here, so no margin can be told: name another token.")
    if before.margin > 0:
        raise AttnWidgetError(
            f"{name!r} is the first choice already ({percent(before.target_probability)}, margin {number(before.margin)}): name another "
            "token, or none, for the set that moves the answer most."
        )


def _python(run: Run, target: int | None, ablation: Ablation, plan: Plan, position: int | None) -> str:
    model = run.model
    asked = ["run"]
    if target is not None:
        name = model.token(target)
        try:
            exact = model.token_id(name) == target
        except AttnWidgetError:
            exact = False
        asked.append(repr(name if exact else target))
    how = [part for part in how_code(ablation) if not part.startswith("seed=")]  # the plan's, which is the same where there is one
    defaults = _PLANNED | {"seed": 0}
    options = options_code({name: getattr(plan, name) for name in defaults}, defaults)
    options += [] if position is None else [f"position={position}"]
    return f"from attnwidget import study\nrun = {run_code(run)}\nfound = study({', '.join([*asked, *how, *options])})"
