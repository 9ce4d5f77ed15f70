"""Operations in any order, some of them ended in the middle: model, runs and answers are to the bit what they were."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from attnwidget import AttnWidgetError, Run
from attnwidget.engine.interrupt import Cancelled, interruptible

from ..models import subject
from .drawn import PAIRS, ablations, checked, ids
from .marks import arrays_of, of_answer, of_chance, of_module, of_run
from .questions import QUESTIONS

questions = st.sampled_from(sorted(QUESTIONS))


class Boom(RuntimeError):
    """Raised in a block by a hook."""


class Orders(RuleBasedStateMachine):
    """One model, a few runs of it, and whatever can be done with them."""

    pair: tuple[str, str]

    @initialize(prompt=ids)
    def begin(self, prompt: list[int]) -> None:
        self.s = subject(*self.pair)
        self.clear_grads()
        torch.manual_seed(5), np.random.seed(5), random.seed(5)
        self.prompt, self.hooks, self.called = prompt, [], 0
        self.blocks = self._blocks()
        self.runs: list[tuple[Run, dict]] = []
        self.answers: dict[tuple, object] = {}
        self.plain()  # TransformerLens hangs hooks of its own on norms in its first forward
        self.model, self.chance, self.logits = of_module(self.s.source), of_chance(), self.plain()
        self.keep(self.s.model.run(prompt))

    def _blocks(self) -> list[torch.nn.Module]:
        return list(self.s.source.blocks if self.pair[1] == "bridge" else self.s.source.get_submodule(self.s.spec.blocks))

    def keep(self, run: Run) -> None:
        self.runs = [*self.runs, (run, of_run(run))][-4:]

    def plain(self) -> torch.Tensor:
        """What the user's own forward gives."""
        with torch.no_grad():
            output = self.s.source(torch.tensor([self.prompt]))
        output = getattr(output, "logits", output)
        return getattr(output, "last_hidden_state", output).clone()

    def clear_grads(self) -> None:
        for parameter in self.s.source.parameters():
            parameter.grad = None

    # -- what can be done ---------------------------------------------------------------------------------------------

    @rule(prompt=ids)
    def another_prompt(self, prompt: list[int]) -> None:
        self.keep(self.s.model.run(prompt))

    @rule(data=st.data())
    def ablate(self, data) -> None:
        run = data.draw(st.sampled_from(self.runs))[0]
        self.keep(run.ablate(**data.draw(ablations(self.s, len(run.ids)))))

    @rule(name=questions, data=st.data())
    def ask(self, name: str, data) -> None:
        run = data.draw(st.sampled_from(self.runs))[0]
        found, mark = self.answer(name, run)
        assert not any(array.flags.writeable for array in arrays_of(found)), "an answer can be written to"
        assert self.answer(name, run)[1] == mark, "the same question gave another answer"
        key = (name, run.ids, of_answer(run.ablation) if run.ablation.heads else None)
        assert self.answers.setdefault(repr(key), mark) == mark, "asked later, the same question gave another answer"

    def answer(self, name: str, run: Run) -> tuple[object, object]:
        try:
            found = QUESTIONS[name](run)
        except AttnWidgetError as error:
            return None, str(error)
        return found, of_answer(found)

    @rule(name=questions, data=st.data(), at=st.integers(0, 40))
    def ask_and_cancel(self, name: str, data, at: int) -> None:
        run, left = data.draw(st.sampled_from(self.runs))[0], at
        raised = data.draw(st.sampled_from([Cancelled, KeyboardInterrupt]))

        def check() -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise raised

        try:
            with interruptible(check):
                self.answer(name, run)
        except raised:
            return

    @rule(name=questions, data=st.data(), block=st.integers(0, 2), at=st.integers(0, 12))
    def ask_with_a_block_that_breaks(self, name: str, data, block: int, at: int) -> None:
        run, left = data.draw(st.sampled_from(self.runs))[0], at

        def breaks(*_args) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise Boom

        hook = self.blocks[block].register_forward_pre_hook(breaks)
        try:
            self.answer(name, run)
        except Boom:
            pass
        finally:
            hook.remove()

    @rule(data=st.data())
    def scribble(self, data) -> None:
        """What a run hands out is a copy."""
        run = data.draw(st.sampled_from(self.runs))[0]
        layer = data.draw(st.integers(0, run.model.n_layers - 1))
        given = [run.logits, run.z(layer), run.resid_pre(layer)]
        given += [run.patterns(layer)] if run.model.selftest.reads_patterns else []
        given += [run.logits_at()] if run.model.answer != "none" else []
        for tensor in given:
            tensor.fill_(3.0)

    @precondition(lambda self: len(self.hooks) < 2)
    @rule(block=st.integers(0, 2))
    def a_hook_of_the_user(self, block: int) -> None:
        def counts(*_args) -> None:
            self.called += 1

        self.hooks.append(self.blocks[block].register_forward_hook(counts))
        self.model = of_module(self.s.source)

    @precondition(lambda self: self.hooks)
    @rule()
    def the_hook_goes(self) -> None:
        before = self.called
        self.plain()
        assert self.called > before, "the user's hook is not called any more"
        self.hooks.pop().remove()
        self.model = of_module(self.s.source)

    @precondition(lambda self: self.pair[1] == "plain")
    @rule()
    def the_user_differentiates(self) -> None:
        output = self.s.source(torch.tensor([self.prompt]))
        getattr(output, "logits", getattr(output, "last_hidden_state", None)).square().sum().backward()
        self.model = of_module(self.s.source)

    # -- what holds after each ----------------------------------------------------------------------------------------

    @invariant()
    def the_model_is_what_it_was(self) -> None:
        if not hasattr(self, "s"):
            return
        now = of_module(self.s.source)
        for part, before in self.model.items():
            assert now[part] == before, f"{part} of the model: {differing(before, now[part])}"
        assert of_chance() == self.chance, "a generator of random numbers was used"
        assert torch.equal(self.plain(), self.logits)
        assert torch.is_grad_enabled()
        assert self.s.model.lock.acquire(blocking=False)
        self.s.model.lock.release()

    @invariant()
    def the_runs_are_what_they_were(self) -> None:
        for run, before in getattr(self, "runs", ()):
            now = of_run(run)
            assert now == before, f"{differing(before, now)} of {run.ids} changed"

    def teardown(self) -> None:
        for hook in getattr(self, "hooks", ()):
            hook.remove()
        if hasattr(self, "s"):
            self.clear_grads()


def differing(before: object, now: object) -> object:
    """What is not the same in two marks, for the message."""
    if isinstance(before, dict) and isinstance(now, dict):
        return [key for key in {**before, **now} if before.get(key) != now.get(key)][:5]
    return before, now


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_any_order(pair):
    run_state_machine_as_test(type("Orders", (Orders,), {"pair": pair}), settings=checked(2, 6))


@pytest.mark.parametrize("name", sorted(QUESTIONS))
def test_what_a_result_keeps_cannot_be_written_to(name):
    refused = "embedding"  # a question to models without a head
    answer = QUESTIONS[name](subject("bert-base" if name == refused else "gpt2").model.run([5, 6, 7, 8, 5, 6]))
    assert not any(array.flags.writeable for array in arrays_of(answer))


def test_the_marks_are_not_blind():
    """Each thing that an operation might leave behind changes a mark."""
    from ..models import fresh

    s = fresh("gpt2")
    source, block = s.source, s.source.transformer.h[1]
    changes = [
        lambda: block.register_forward_hook(lambda *_: None),
        lambda: block.train(),
        lambda: setattr(block, "left", 1),
        lambda: next(block.parameters()).requires_grad_(False),
        lambda: next(block.parameters()).data.view(-1)[0].nextafter_(torch.tensor(9.0)),
        lambda: setattr(source.config, "use_cache", False),
        lambda: source.set_attn_implementation("eager"),
    ]
    for change in changes:
        before = of_module(source)
        change()
        assert of_module(source) != before
    chance = of_chance()
    random.random()
    assert of_chance() != chance
    run = s.model.run([1, 2, 3])
    before = of_run(run)
    run._resid[1][0, 0, 0] += 1
    assert of_run(run) != before
