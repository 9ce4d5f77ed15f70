"""The notebook that is soaked: one real model, one widget, and how to tell that it rests and that page and kernel agree."""

from __future__ import annotations

import re
import time
from random import Random

from playwright.sync_api import Locator

from ..browser.lab import Notebook
from ..browser.listening import heard, listen
from ..conftest import PROMPT

LOAD = "from attnwidget import AttentionWidget, load_model\nmodel = load_model('smollm2-135m')"
SHOW = f"w = AttentionWidget(model, {PROMPT!r}, selected=['L20H0'], shown=['L20H0'])\nw"
AGAIN = "w"

#: What a person would wait for.
WAITING = "[role=progressbar], [aria-busy=true]"
#: Seconds after which what is waited for is cancelled, and after which a page that still waits is stuck. A sweep of all heads takes longer
#: than the first, so it is met half-way.
PATIENCE, STUCK = 4.0, 60.0
#: What an error says that is nobody's wrong choice.
UNEXPLAINED = re.compile(
    r"The run failed|could not be read|was lost on its way|gave no reason|cannot be reached|kernel is gone|undefined is not"
)

# The weights by a sum that any changed bit changes, what hangs on the modules, and what training would do with them.
IN_KERNEL = """
def _untouched():
    import torch
    modules, weights = list(model.source.modules()), list(model.source.parameters())
    with model.lock:  # not in the middle of a pass
        hooks = sum(len(m._forward_hooks) + len(m._forward_pre_hooks) + len(m._backward_hooks) for m in modules)
        bits = sum(int(p.detach().view(torch.int32).sum(dtype=torch.int64)) for p in weights)
        return [hooks, bits, sum(m.training for m in modules), sum(p.requires_grad for p in weights)]
def _plain():
    run = w.run
    clean = model.run(list(run.ids))
    again = type(run)(clean, run.ablation)
    same = bool((again.logits == run.logits).all()) and bool((clean.logits == run.clean.logits).all())
    return same and sorted(run.heads) == sorted(w.ablated)
"""


class Broken(AssertionError):
    """What a soak is to find."""


class Stage:
    """The open notebook, and the source of chance of the present action."""

    chance: Random

    def __init__(self, book: Notebook):
        self.book, self.page = book, book.page
        listen(book.kernel)
        book.do(IN_KERNEL)
        self.untouched = book.read("_untouched()")
        self.cancelled = 0

    @property
    def view(self) -> Locator:
        return self.book.widget

    def waiting(self) -> int:
        return self.view.locator(WAITING).count()

    def settle(self) -> None:
        """Until nothing is waited for; what takes long is cancelled, as a person would."""
        if self._rests(PATIENCE):
            return
        self.cancelled += 1
        self.book.do("w.cancel()")
        if not self._rests(STUCK):
            what = self.view.locator(WAITING).evaluate_all("all => all.map(e => e.outerHTML.slice(0, 200))")
            raise Broken(f"Stuck: the page waits {STUCK:g} s after all was cancelled (kernel busy: {self.book.read('w.busy')}) for {what}")

    def _rests(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        calm = 0
        while calm < 3:  # one question may lead to the next
            if time.monotonic() > deadline:
                return False
            calm = calm + 1 if not self.waiting() else 0
            self.page.wait_for_timeout(80)
        return True

    # -- what must hold ---------------------------------------------------------------------------------------------

    def check(self) -> None:
        """After every action: no error in the page's console, nothing raised in the kernel, no error that explains nothing."""
        if self.book.errors or self.book.outside:
            raise Broken(f"The page: {(self.book.errors + self.book.outside)[:3]}")
        if self.book.widgets.count() == 0:
            raise Broken("The widget is gone from the page.")
        for text in self.view.get_by_role("alert").all_inner_texts():
            if UNEXPLAINED.search(text):
                raise Broken(f"An error that nobody's choice explains: {text[:600]}")

    def check_kernel(self) -> None:
        """Now and then: the kernel's side of the same."""
        if said := heard(self.book.kernel):
            raise Broken(f"In the kernel: {said[0][-3000:]}")
        if "Traceback" in (text := self.book.output_text()):
            raise Broken(f"In the notebook: {text[text.index('Traceback') :][:2000]}")

    def check_agreement(self) -> None:
        """At rest: what the page shows is what the kernel has, and what a run of its own gives."""
        self.book.do("w.wait()")
        self.settle()
        shown = self._shown()
        kernel = self.book.read(
            "{'off': sorted([*h] for h in w.ablated), 'selected': sorted([*h] for h in w.selected), 'mode': w.mode, 'tab': w.tab,"
            " 'tokens': len(w.tokens)}"
        )
        if shown != kernel:
            raise Broken(f"Page and kernel disagree: {shown} and {kernel}")
        try:
            same = self.book.read("_plain()")
        except RuntimeError as error:
            if "Error: " in str(error):  # a mode that is undefined for what is ablated
                return
            raise
        if not same:
            raise Broken("The widget's run differs from a run of its own.")
        percent = self.book.read("100 * float(w.prediction.clean_top.clean.probability)")
        said = self.view.locator(".aw-headline").inner_text()
        number = re.search(r"([\d.]+)%", said)
        if number and abs(float(number[1]) - percent) > 0.6:
            raise Broken(f"The page says {said!r}, the kernel {percent:.2f}%")

    def check_model(self) -> None:
        """At rest: the model is what it was, to the bit, and nothing hangs on it."""
        now = self.book.read("_untouched()")
        if now != self.untouched:
            raise Broken(f"The model is not what it was: hooks, bits, training, gradients {self.untouched} became {now}")

    def _shown(self) -> dict:
        return self.view.evaluate(
            """view => {
                const spots = selector => [...view.querySelectorAll(selector)].map(e => e.dataset.spot.split(',').map(Number))
                    .filter(([l, h]) => l >= 0 && h >= 0).sort((a, b) => a[0] - b[0] || a[1] - b[1]);
                const tab = view.querySelector('[role=tab][aria-selected=true]');
                const names = ['overview', 'ranking', 'kinds', 'lens', 'generation', 'study', 'circuit', 'compare', 'inside'];
                const tabs = [...view.querySelectorAll('.aw-tabbar [role=tab]')];
                const strip = view.querySelectorAll('.aw-tokens [role=option]');
                return {
                    off: spots('[role=gridcell][aria-label$=ablated], [role=gridcell][aria-label*=", ablated"]'),
                    selected: spots('[role=gridcell][aria-selected=true]'),
                    mode: view.querySelector('select[aria-label="Ablation mode"]').value,
                    tab: tab ? names[tabs.indexOf(tab)] : '',
                    tokens: strip.length,
                };
            }"""
        )
