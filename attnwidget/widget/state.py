"""What a person chose, and small facts: the traits every view of the widget shares.

Everything that is *computed* travels as a reply to a request (`ops.py`), never as a trait (but for `scored` and `kept`): traits are saved
with the notebook, echoed to every view and re-sent by hosts that keep the whole state, so they stay small.
`js/src/state.gen.ts` is generated from this class (`python -m attnwidget.widget.typescript`); a test fails when it is stale.
"""

from __future__ import annotations

import traitlets as t

from ..ablation import MODES
from ..analysis.measure import EMBEDDING_METRICS, METRICS
from .traits import Choice, Heads

PANELS = ("prompt", "tokens", "grid", "outcome", "attention", "tabs")
TABS = ("overview", "ranking", "kinds", "lens", "generation", "study", "circuit", "compare", "inside")
# What the kernel alone sets.
FACTS = frozenset({"tokens", "run_key", "n_layers", "n_heads", "n_kv_heads", "model_name", "causal", "facts"})
FACTS |= {"scored", "kept", "widget_id", "error"}


class State(t.HasTraits):
    """The synced traits of an `AttentionWidget`, without behaviour."""

    # -- chosen: the input --------------------------------------------------------------------------------------
    prompt = t.Unicode("").tag(sync=True)
    prepend_bos = t.Bool(False).tag(sync=True)

    # -- chosen: what is looked at ------------------------------------------------------------------------------
    # An order, not a set: the small maps are shown in the order they were picked.
    selected = Heads().tag(sync=True)
    # The head drawn large; empty when none is. A list of heads, so that a link to `selected` of another widget works.
    shown = Heads(maxlen=1).tag(sync=True)
    # Positions may be negative, counted from the end: -1 stays "the last token" when the prompt changes.
    query = t.Int(-1).tag(sync=True)
    # `change` is of the present run less the clean one; the others weigh a pattern by what is moved along it.
    attention_kind = Choice(("raw", "change", "v_norm", "vo_norm", "signed", "z_cosine"), "raw").tag(sync=True)
    # Weighted maps only: each row divided by its sum.
    row_normalised = t.Bool(False).tag(sync=True)
    attention_view = Choice(("maps", "lines"), "maps").tag(sync=True)
    # One map made of many beside the heads' own: of the heads selected, of the layer of the one shown, through all layers.
    aggregate = Choice(("", "mean", "layer", "rollout"), "").tag(sync=True)
    hide_first = t.Bool(False).tag(sync=True)
    # With `hide_first`: what is left of a row is made to sum to 1.
    renormalise = t.Bool(False).tag(sync=True)
    # Special tokens ([CLS], <s>) left out of maps, of comparisons and, as the first token is, of statistics of the pattern.
    discount_special = t.Bool(False).tag(sync=True)
    cell_view = Choice(("patterns", "scores"), "patterns").tag(sync=True)
    # What colours the grid and orders the ranking: a method of `score`, a statistic of the pattern, a kind of head, or a number of two
    # prompts (which needs `other`).
    score = t.Unicode("ablation").tag(sync=True)
    # Which tab of the bottom section is open; empty when all are closed, so that nothing is computed for them.
    tab = Choice(("", *TABS), "ranking").tag(sync=True)

    # -- chosen: the intervention -------------------------------------------------------------------------------
    ablated = Heads().tag(sync=True)
    mode = Choice(tuple(MODES), "zero").tag(sync=True)
    # Query positions the ablation acts on; empty means all of them.
    positions = t.List(t.Int()).tag(sync=True)
    scale = t.Float(0.0).tag(sync=True)
    threshold = t.Float(0.1).tag(sync=True)
    seed = t.Int(0).tag(sync=True)
    # Prompts: the reference set of `mean`, the one counterfactual of `resample`. Empty: `mean` uses the prompt itself.
    reference = t.List(t.Unicode()).tag(sync=True)

    # -- chosen: the question asked of the answer ---------------------------------------------------------------
    position = t.Int(-1).tag(sync=True)
    # Token texts, " Mary" with its space. Empty: the model's own first choice, and what overtook it.
    target = t.Unicode("").tag(sync=True)
    against = t.Unicode("").tag(sync=True)
    # The number that scores of effects are about; of a model without a head, how far its embedding moves.
    metric = Choice((*METRICS, *EMBEDDING_METRICS), "kl").tag(sync=True)
    # Whether effects are measured from the run with `ablated` ablated, instead of from the clean one.
    conditional = t.Bool(False).tag(sync=True)

    # The prompt that this one is compared with; empty while there is none.
    other = t.Unicode("").tag(sync=True)

    # -- which panels this view has; `HeadGrid` is this widget with panels=["grid"] ------------------------------
    panels = t.List(t.Enum(PANELS), list(PANELS)).tag(sync=True)

    # -- facts, set by the kernel only --------------------------------------------------------------------------
    # Decoded text of each token, for instance " Mary"; the front end marks spaces and repeats.
    tokens = t.List(t.Unicode()).tag(sync=True)
    # Set by the kernel at each new run; a view that sees it change asks again for what it shows.
    run_key = t.Unicode("").tag(sync=True)
    n_layers = t.Int(0).tag(sync=True)
    n_heads = t.Int(0).tag(sync=True)
    n_kv_heads = t.Int(0).tag(sync=True)
    model_name = t.Unicode("").tag(sync=True)
    causal = t.Bool(True).tag(sync=True)
    # {dtype, device, n_ctx, processing, bos, bos_switch, answer, selftest, modes, scores, metrics}: see `Facts` in js/src/source/ops.ts.
    facts = t.Dict().tag(sync=True)
    # The scores computed last, as `Scores` in js/src/source/ops.ts with plain lists: what a saved notebook shows without a kernel, and
    # the one computed thing that is a trait, for that reason alone. Empty until there are some.
    scored = t.Dict().tag(sync=True)
    # The last answers about what was on screen (`kept.py`), at most 500 kB, for a notebook that is opened without a kernel. Not echoed:
    # hosts would send it back and forth.
    kept = t.Bytes(b"").tag(sync=True, echo_update=False)
    # The model's id in the page, by which a view finds out whether there still is a kernel behind it. Set when it is opened.
    widget_id = t.Unicode("").tag(sync=True)
    # One sentence; what a gesture in the browser could not do. Exceptions in handlers show nowhere in a notebook.
    error = t.Unicode("").tag(sync=True)
