"""The questions that can be asked of a run, each as one function of it, small enough to be asked many times."""

from __future__ import annotations

from collections.abc import Callable

import attnwidget as aw
from attnwidget import AblatedRun, Run
from attnwidget.analysis import METHODS, outcome, whole_prompt

Question = Callable[[Run], object]


def _other(run: Run) -> Run:
    """A prompt of the same length, without chance."""
    return run.model.run([(7 * i + 3) % run.model.vocabulary.size for i in run.ids])


def _ablated(run: Run) -> AblatedRun:
    return run if isinstance(run, AblatedRun) else run.ablate(["L1H1", "L2H0"])


QUESTIONS: dict[str, Question] = {
    "top": lambda run: run.top(5),
    "frame": lambda run: run.to_frame(),
    "outcome": lambda run: outcome(_ablated(run), k=4),
    "statistics": lambda run: aw.head_statistics(run, first="hide"),
    "kinds": lambda run: aw.detect_heads(run),
    "kinds of the model": lambda run: aw.detect_heads(run.model, length=6, sequences=2),
    "lens": lambda run: aw.logit_lens(run, k=3),
    "text": lambda run: aw.generate(_ablated(run), 4, temperature=0.8, seed=3),
    "text without a cache": lambda run: aw.generate(_ablated(run), 3, cache=False),
    "study": lambda run: aw.study(run.clean, beam=2, max_heads=2, candidates=3, budget=30, random=2),
    "circuit": lambda run: aw.discover_circuit(
        run.clean, _other(run.clean), target=1, against=2, steps=2, edges=6, random=2, sizes=[3, 6], limit=10**6
    ),
    "comparison": lambda run: aw.compare(run, _other(run)),
    "many comparisons": lambda run: aw.compare_many(run.model, [(run.ids, _other(run).ids)], effects=False),
    "mean": lambda run: aw.mean_attention(run, ["L0H1", "L2H2"]),
    "rollout": lambda run: aw.attention_rollout(run),
    "value weighted": lambda run: aw.value_weighted(run, ["L1H0"]),
    "sources": lambda run: aw.attention_sources(run, "L2H1", len(run.ids) - 1, 0),
    "qk scores": lambda run: aw.qk(run, "L1H2"),
    "qk circuit": lambda run: aw.qk_circuit(run.model, "L1H2", tokens=[1, 2, 3], k=2),
    "ov circuit": lambda run: aw.ov(run.model, "L1H2", tokens=[1, 2, 3], k=2, sample=8),
    "composition": lambda run: aw.composition(run.model),
    "layers": lambda run: aw.layer_impact(_ablated(run)),
    "gain": lambda run: aw.causal_gain(run.model, ["L0H1"], length=6, sequences=2),
    "overview": lambda run: aw.overview(run),
    "whole prompt": lambda run: whole_prompt(_ablated(run)),
    "embedding": lambda run: aw.embedding_change(_ablated(run)),
    "counterfactual": lambda run: aw.counterfactual(run.clean, shuffle=True, seed=1),
}
QUESTIONS |= {f"score {name}": lambda run, name=name: aw.score(run, name) for name in METHODS}
QUESTIONS |= {
    f"sweep {mode}": lambda run, mode=mode: aw.score(run, mode=mode)
    for mode in ("mean", "uniform", "previous", "random", "permute", "first_token")
}
