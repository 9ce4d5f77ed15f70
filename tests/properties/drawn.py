"""What the tests of this folder draw: models, prompts, heads, ablations. Models are made once each: an example costs its passes only.

`HYPOTHESIS_PROFILE=long` draws anew each time, and twenty times as many; without it the examples are the same in every run.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from ..models import HEADS, LAYERS, VOCAB, Subject, subject

LONG = os.environ.get("HYPOTHESIS_PROFILE") == "long"
PAIRS = [
    ("gpt2", "plain"),
    ("llama", "plain"),
    ("gemma2", "plain"),
    ("gptneox", "plain"),
    ("bert", "plain"),
    ("bert-classifier", "plain"),
    ("bert-base", "plain"),
    ("roberta", "plain"),
    ("bloom", "plain"),
    ("gptoss", "plain"),
    ("gptj", "plain"),
    ("llama", "bridge"),
    ("opt", "bridge"),
    ("bert", "bridge"),
]
"""Learned and rotary positions, grouped keys, parallel blocks, sinks, soft-caps, windows, encoders, classifiers, no head, bridges."""


def checked(examples: int, steps: int = 50) -> settings:
    """Never timed: the machine is shared."""
    return settings(
        max_examples=examples * 20 if LONG else examples,
        stateful_step_count=steps * 3 if LONG else steps,
        derandomize=not LONG,
        deadline=None,
        database=None,
        print_blob=True,
        phases=[phase for phase in Phase if phase is not Phase.explain],
        suppress_health_check=list(HealthCheck),
    )


subjects = st.sampled_from(PAIRS).map(lambda pair: subject(*pair))
ids = st.lists(st.integers(0, VOCAB - 1), min_size=1, max_size=12)
head = st.tuples(st.integers(0, LAYERS - 1), st.integers(0, HEADS - 1))
heads = st.lists(head, max_size=LAYERS * HEADS, unique=True)
texts = st.text(st.characters() | st.sampled_from(list(" Mary went.\n")), max_size=24)
"""Half characters and what shows nothing among them."""


def spelt(drawn: tuple[int, int], how: int) -> object:
    """One head in one of the forms in which it can be named."""
    layer, index = drawn
    return [(layer, index), f"L{layer}H{index}", f"l{layer}h{index}", f"{layer}.{index}", [layer, index]][how % 5]


@st.composite
def ablations(draw, of: Subject, length: int, some: st.SearchStrategy = heads) -> dict:
    """What `Run.ablate` takes: a mode that this model has, with parameters of its own, and heads it is defined for."""
    model = of.model
    modes = ["zero", "scale", "mean", "resample", "permute", "sparsify"]
    if of.spec.pattern_modes or of.kind == "bridge":
        modes += ["uniform", "previous", "random", "first_token"]
    mode, chosen = draw(st.sampled_from(modes)), draw(some)
    if mode == "previous":
        chosen = [one for one in chosen if one[0] > 0]
    given: dict = {"heads": chosen, "mode": mode}
    if mode == "scale":
        given["scale"] = draw(st.floats(-4, 4))
    if mode == "sparsify":
        given["threshold"] = draw(st.floats(0, 2))
    if mode in ("random", "permute"):
        given["seed"] = draw(st.integers(-(2**40), 2**40))
    if mode == "resample":
        given["reference"] = model.run(draw(st.lists(st.integers(0, VOCAB - 1), min_size=length, max_size=length)))
    if mode == "mean":
        # A prompt that is BOS alone has no mean.
        given["reference"] = [model.run(draw(st.lists(st.integers(1, VOCAB - 1), min_size=1, max_size=9)))]
    if draw(st.booleans()):
        given["positions"] = draw(st.lists(st.integers(-length, length - 1), min_size=1, max_size=length))
    return given
