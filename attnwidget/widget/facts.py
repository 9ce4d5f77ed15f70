"""What is true of a model whatever the prompt: the trait `facts`, and which scores and metrics the model refuses."""

from __future__ import annotations

from ..ablation import MODES
from ..analysis.compared import COMPARED
from ..analysis.kinds import KINDS
from ..analysis.measure import EMBEDDING_METRICS, METRICS
from ..analysis.score import METHODS
from ..analysis.statistics import STATISTICS
from ..model import Model

_METRIC_LABELS = {
    "kl": "KL divergence",
    "logit_diff": "logit difference",
    "embedding_cosine": "cosine distance of embedding",
    "embedding_l2": "L2 distance of embedding",
    "embedding_cosine_cls": "cosine distance of first token",
    "embedding_l2_cls": "L2 distance of first token",
}
EVERY_METRIC = {**METRICS, **EMBEDDING_METRICS}


def facts(model: Model) -> dict:
    """`Facts` of js/src/source/ops.ts."""
    return {
        "dtype": model.precision,
        "device": str(model.device),
        "n_ctx": model.n_ctx,
        "processing": model.processing,
        "bos": model.vocabulary.special,
        "bos_switch": model.vocabulary.bos_id is not None and model.causal,
        "answer": model.answer,
        "special": model.vocabulary.specials,
        "selftest": {"passed": model.selftest.passed, "notes": list(model.selftest.notes)},
        "modes": [
            {
                "name": mode.name,
                "label": mode.label,
                "acts_on": mode.acts_on,
                "formula": mode.formula,
                "params": list(mode.params),
                "refused": model.refuses(mode.name),
            }
            for mode in MODES.values()
        ],
        "scores": [_score(model, name) for name in (*METHODS, *STATISTICS, *KINDS, *COMPARED)],
        "metrics": [
            {"name": name, "label": _METRIC_LABELS.get(name, name.replace("_", " ")), "refused": refused_metric(model, name)}
            for name in _metrics(model)
        ],
    }


def _score(model: Model, name: str) -> dict:
    fact = {"name": name, "refused": refused_score(model, name)}
    if name in METHODS:
        method = METHODS[name]
        return fact | {
            "label": method.label,
            "unit": method.unit,
            "signed": method.signed is not False,
            "kind": method.kind,
            "exact": method.exact,
            "metrics": list(metrics_of(model, name)),
            "modes": method.modes != (),
        }
    if name in COMPARED:
        number = COMPARED[name]
        look = {"label": number.label, "unit": number.unit, "kind": "effect" if number.causal else "statistic"}
        return (
            fact
            | look
            | {"signed": number.signed, "exact": True, "metrics": list(metrics_of(model, name)), "modes": False, "compared": True}
        )
    if name in STATISTICS:
        look = {"label": STATISTICS[name].label, "unit": STATISTICS[name].unit, "kind": "statistic", "of_pattern": True}
    else:
        look = {"label": f"{KINDS[name].label} head", "unit": "", "kind": "kind"}
    return fact | look | {"signed": False, "exact": True, "metrics": [], "modes": False}


def default_score(model: Model) -> str:
    """What the grid is coloured by unless something else is chosen: what was measured, where that can be had."""
    return next((name for name in ("ablation", "output_norm", *STATISTICS) if refused_score(model, name) is None), "ablation")


def default_metric(model: Model) -> str:
    """What effects are measured by unless something else is chosen."""
    return _metrics(model)[0]


def metrics_of(model: Model, name: str) -> tuple[str, ...]:
    """The metrics that a score can be of in this model, the default first; none where it asks nothing of the answer."""
    if name in COMPARED:
        return _metrics(model) if COMPARED[name].causal else ()
    if name not in METHODS:
        return ()
    return tuple(EMBEDDING_METRICS) if name == "ablation" and model.answer == "none" else METHODS[name].metrics


def _metrics(model: Model) -> tuple[str, ...]:
    return tuple(EMBEDDING_METRICS) if model.answer == "none" else tuple(METRICS)


def refused_score(model: Model, name: str) -> str | None:
    """Why a score cannot be had of this model, as far as that is known before a run; None where it can, or only a run will tell."""
    if name not in METHODS:
        if not model.selftest.reads_patterns:
            return "Attention patterns cannot be read from this model: hand it in as a TransformerBridge to see them."
        if name in COMPARED and COMPARED[name].causal and not model.selftest.passed:
            return _failed(model)
        return None
    if METHODS[name].metrics and model.answer == "none" and name != "ablation":
        return _without_answer(model)
    if METHODS[name].modes != () and not model.selftest.passed:
        return _failed(model)
    return None


def _failed(model: Model) -> str:
    failed = "; ".join(check.name for check in model.selftest.checks if not check.passed)
    return f"Nothing can be ablated in {model.name}: its self-test failed ({failed}); see model.selftest."


def refused_metric(model: Model, name: str) -> str | None:
    """Why a metric is undefined for this model, or None where it is not."""
    if (name in EMBEDDING_METRICS) != (model.answer == "none"):
        return _without_answer(model) if model.answer == "none" else f"{model.name} answers with logits, not with an embedding: use 'kl'."
    if name in METRICS and METRICS[name].whole and model.answer != "next":
        return f"Perplexity is defined for models that predict the next token; {model.name} does not: use 'kl' or 'logit_diff'."
    return None


def _without_answer(model: Model) -> str:
    return f"{model.name} has no head that answers: use 'ablation' with 'embedding_cosine', a statistic, or load it with its head."
