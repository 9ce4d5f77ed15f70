"""A run in CircuitsVis's own views: what they are given are the run's numbers, all of them, unrounded."""

from __future__ import annotations

import html
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from .. import metrics
from ..errors import ArrayError, HeadError, ModelError
from ..heads import Head, HeadsLike, parse_head, parse_heads

if TYPE_CHECKING:
    from circuitsvis.utils.render import RenderedHTML

    from ..run import Run

# Cells, each one element of a chart, above which its page takes many seconds to draw and a notebook tens of megabytes to keep.
MANY = 250_000
# Bytes a value takes as text, twice: CircuitsVis makes the page with its script inside and the one that loads it.
_TEXT = 22

_ATTENTION = ("attention_heads", "attention_patterns", "attention_pattern")
_TOKENS = ("colored_tokens", "colored_tokens_multi")
_ANSWER = ("token_log_probs", "model_performance")
KINDS = (*_ATTENTION, *_TOKENS, *_ANSWER)


def to_circuitsvis(
    run: Run,
    kind: str = "attention_heads",
    *,
    layer: int | None = None,
    heads: HeadsLike | None = None,
    query: int | None = None,
    values: object = None,
    labels: Sequence[str] | None = None,
    top_k: int = 10,
) -> RenderedHTML:
    """See `Run.to_circuitsvis`."""
    if kind not in KINDS:
        raise ArrayError(f"{kind!r} is no view of CircuitsVis that a run can fill: use one of {', '.join(KINDS)}.")
    given = {"layer": layer, "heads": heads, "query": query, "values": values, "labels": labels}
    of_tokens = {"colored_tokens": ("layer", "heads", "query", "values"), "colored_tokens_multi": tuple(given)}
    taken = {**dict.fromkeys(_ATTENTION, ("layer", "heads")), **of_tokens}.get(kind, ())
    for name, value in given.items():
        if value is not None and name not in taken:
            raise ArrayError(f"{kind} takes no {name}: leave it out, or choose another of {', '.join(KINDS)}.")
    if kind in _ATTENTION:
        return _inert(_attention(run, kind, _chosen(run, layer, heads)))
    if kind in _TOKENS:
        return _inert(_tokens(run, kind, layer, heads, query, values, labels))
    return _inert(_answer(run, kind, top_k))


# -- attention --------------------------------------------------------------------------------------------------------------


def _attention(run: Run, kind: str, heads: list[Head]) -> RenderedHTML:
    from circuitsvis.attention import attention_heads, attention_pattern, attention_patterns

    cells = len(heads) * len(run.ids) ** 2
    if cells > MANY:
        warnings.warn(
            f"CircuitsVis is given {cells:,} values ({len(heads)} heads × {len(run.ids)}² tokens), about {2 * cells * _TEXT / 1e6:,.0f} MB "
            f"of text, and draws each as an element of a chart; above {MANY:,} that is slow or fails. Choose layer= or heads=.",
            stacklevel=4,
        )
    if kind == "attention_pattern":
        if len(heads) != 1:
            raise HeadError(f"attention_pattern shows one head, not {len(heads)}: give heads='L9H6', or use attention_heads.")
        return attention_pattern(run.tokens, _patterns(run, heads)[0], max_value=1.0, min_value=0.0, mask_upper_tri=run.model.causal)
    if kind == "attention_patterns":
        return attention_patterns([_as_html(token) for token in run.tokens], _patterns(run, heads))
    return attention_heads(
        _patterns(run, heads),
        run.tokens,
        attention_head_names=[str(head) for head in heads],
        max_value=1.0,
        min_value=0.0,
        mask_upper_tri=run.model.causal,
    )


def _patterns(run: Run, heads: Sequence[Head]) -> torch.Tensor:
    """[head, query, key], each layer read once."""
    maps = {head: run.pattern(head).float().cpu() for head in sorted(set(heads))}
    return torch.stack([maps[head] for head in heads])


def _chosen(run: Run, layer: int | None, heads: HeadsLike | None) -> list[Head]:
    model = run.model
    if layer is not None and heads is not None:
        raise HeadError("layer= and heads= both say which heads are meant: give one of them.")
    if heads is not None:
        chosen = parse_heads(heads, model.n_layers, model.n_heads)
        if not chosen:
            raise HeadError("No heads were given: name at least one, or leave heads= out for all.")
        return chosen
    layers = range(model.n_layers) if layer is None else [parse_head((layer, 0), model.n_layers, model.n_heads).layer]
    return [Head(at, head) for at in layers for head in range(model.n_heads)]


# -- a number for each token ------------------------------------------------------------------------------------------------


def _tokens(
    run: Run, kind: str, layer: int | None, heads: HeadsLike | None, query: int | None, values: object, labels: Sequence[str] | None
) -> RenderedHTML:
    from circuitsvis.tokens import colored_tokens, colored_tokens_multi

    tokens = [_as_html(token) for token in run.tokens]
    if values is None:
        if layer is None and heads is None:
            raise ArrayError(f"{kind} colours tokens by a number for each: give values=, or heads= for where they look from query=.")
        chosen = _chosen(run, layer, heads)
        rows = _patterns(run, chosen)[:, run.position(query)]
        if kind == "colored_tokens":
            return colored_tokens(tokens, rows.mean(0), min_value=0.0, max_value=1.0)
        return colored_tokens_multi(tokens, rows.T, labels=_labels(labels, [str(head) for head in chosen]))
    for name, value in (("layer", layer), ("heads", heads), ("query", query)):
        if value is not None:
            raise ArrayError(f"values= are the numbers themselves, and {name}= says where to take them from: give one of the two.")
    given = _numbers(values)
    n = len(run.ids)
    if kind == "colored_tokens":
        if given.shape != (n,):
            raise ArrayError(f"values has the shape {given.shape}, and the prompt has {n} tokens: give one number for each.")
        return colored_tokens(tokens, given.tolist())
    if given.ndim != 2 or len(given) != n:
        raise ArrayError(f"values has the shape {given.shape}, and it takes [token, kind of value] with {n} tokens.")
    return colored_tokens_multi(tokens, torch.tensor(given), labels=_labels(labels, [str(i) for i in range(given.shape[1])]))


def _labels(labels: Sequence[str] | None, names: list[str]) -> list[str]:
    """One text for each column; `names` where none are given."""
    if labels is None:
        return names
    if len(labels) != len(names):
        raise ArrayError(f"labels has {len(labels)} texts, and there are {len(names)} columns: one text is needed for each.")
    return [str(label) for label in labels]


def _numbers(values: object) -> np.ndarray:
    try:
        return np.asarray(values.detach().cpu() if hasattr(values, "detach") else values, dtype=np.float64)
    except (TypeError, ValueError):
        raise ArrayError("values cannot be read as numbers: give an array, [token] or [token, kind of value].") from None


# -- what it predicts -------------------------------------------------------------------------------------------------------


def _answer(run: Run, kind: str, top_k: int) -> RenderedHTML:
    from circuitsvis.logits import token_log_probs
    from circuitsvis.tokens import visualize_model_performance

    model = run.model
    if model.answer != "next":
        raise ModelError(f"{kind} shows how well each next token is predicted, and {model.name} does not predict the next one.")
    if len(run.ids) < 2:
        raise ArrayError(f"{kind} shows how well each next token is predicted: it takes a prompt of at least 2 tokens, not {len(run.ids)}.")
    ids = torch.tensor(run.ids)
    logits = run.logits.float().cpu()
    if kind == "model_performance":
        return visualize_model_performance(ids, [_as_html(token) for token in run.tokens], logits)
    if isinstance(top_k, bool) or not isinstance(top_k, int) or not 1 <= top_k <= logits.shape[-1]:
        raise ArrayError(f"top_k must be a whole number from 1 to {logits.shape[-1]:,}, not {top_k!r}.")
    text: Callable[[int], str] = lambda i: _as_html(model.token(i))  # noqa: E731
    return token_log_probs(ids, metrics.log_probabilities(logits), text, top_k=top_k)


def _as_html(token: str) -> str:
    """CircuitsVis writes tokens as HTML in these views."""
    return html.escape(token, quote=False)


# -- the HTML ---------------------------------------------------------------------------------------------------------------


def _inert(rendered: RenderedHTML) -> RenderedHTML:
    """The same view with every "<" of its arguments written as an escape, so that a token such as "</script>" ends nothing."""
    local = _escaped(rendered.local_src, "\n    CircuitsVis.render(\n")
    return type(rendered)(local, _escaped(rendered.cdn_src, "\n    render(\n"))


def _escaped(source: str, call: str) -> str:
    # The arguments are JSON and have no line breaks of their own, so the last call is the one that CircuitsVis wrote.
    before, found, arguments = source.rpartition(call)
    body, end, after = arguments.rpartition("</script>")
    return before + found + body.replace("<", "\\u003c") + end + after
