"""What a saved notebook shows without a kernel: the last answers about what was on screen, as one container of at most `MOST` bytes."""

from __future__ import annotations

from ..export.container import container
from .answers import LARGEST
from .jobs import Job
from .recordable import answered
from .recorder import Recorder
from .recording import bundle
from .wire import nbytes, pack

MOST = 500_000
_TABS = {
    "overview": ("overview",),
    "ranking": (),
    "kinds": ("kinds",),
    "lens": ("lens", "lens_column"),
    "generation": ("generate",),
    "study": ("study",),
    "circuit": ("counterfactual", "circuit"),
    "compare": ("other", "compare", "compared_patterns"),
    "inside": ("qk", "why", "ov", "qk_circuit", "composition"),
}
_STATE = ("facts", "tokens", "n_layers", "n_heads")  # the other traits are in the notebook themselves


def kept(w, job: Job) -> bytes:
    """The container; b"" where there is no prompt. What is on screen is answered here where no view has asked for it. What does not fit is
    left out, the least needed first."""
    of = Recorder(w, job, told=True)
    if not of.key or not of.asking.tokens:
        return b""
    _record(of)
    of.answers = [one for one in of.answers if nbytes(one["result"]) <= LARGEST]
    state = {name: of.asking.state[name] for name in _STATE}
    while True:
        _turn(job)  # compressing takes its time, and a click need not wait for all tries
        data = container(*pack({**bundle(of, state), "run": of.key}))
        if len(data) <= MOST or not (of.answers or of.patterns):
            return data if len(data) <= MOST else b""
        # Asked for last, needed least; patterns go before the answer itself.
        if of.answers and (of.patterns is None or of.answers[-1]["op"] not in ("outcome", "embedding")):
            of.answers.pop()
        else:
            of.patterns = None


def _record(of: Recorder) -> None:
    """What a view shows, the most needed first."""
    asking, panels, reads = of.asking, of.asking.state["panels"], of.model.selftest.reads_patterns
    if "outcome" in panels:
        for ablation in asking.ablations:
            _turn(of.job)
            answered(of, ablation)
    if "grid" in panels and reads:
        _turn(of.job)
        of.try_ask("thumbnails", {})
    if reads and {"tokens", "attention"} & set(panels):
        _turn(of.job)
        _patterns(of)
    tab = asking.state["tab"]
    for op in ("scores", "weighted", "aggregate", *(_TABS.get(tab, ()) if "tabs" in panels else ())):
        for args, result in of.session.answers_of(op):
            of.keep(op, args, result)


def _patterns(of: Recorder) -> None:
    cells = of.asking.tokens**2
    heads = of.asking.heads[: max(1, LARGEST // cells)]
    if not heads or cells > LARGEST:
        return
    of.keep_patterns(heads)
    if of.asking.state["ablated"] and 8 * len(heads) * cells <= LARGEST:
        of.attempt(lambda: of.keep_present_patterns(heads))


def _turn(job: Job) -> None:
    job.chunk(0, 1, "Saving what is shown")
