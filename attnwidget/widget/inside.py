"""One head from the inside, as requests: what it matches in a run, what it writes, and what its weights say whatever the prompt."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import numpy as np

from ..analysis.composing import KINDS, Composition, composition
from ..analysis.modelweights import EMBEDDINGS
from ..analysis.ovcircuit import ov
from ..analysis.ovresult import OVCircuit
from ..analysis.qkcircuit import qk_circuit
from ..analysis.qkresult import QKCircuit
from ..analysis.qkscores import QKScores, qk
from ..analysis.sources import AttentionSources, attention_sources
from ..engine import Engine
from ..errors import AttnWidgetError
from ..heads import Head, parse_head
from ..model import Model
from ..run import AblatedRun, Run
from . import arguments
from .jobs import Job
from .wire import Array

MOST_SPLIT = 400
"""Tokens up to which the parts of scores are sent: four or five maps as large as the scores themselves."""
MOST_TOKENS = 64
"""Whose OV circuit is told in one answer."""
DIRECTIONS = 3
FURTHEST = 512
"""Tokens between query and key: a prompt as long is run for them."""
SOURCES = 3
"""Tokens from which a head brought its term."""
_composed: WeakKeyDictionary[Engine, tuple[int, Composition]] = WeakKeyDictionary()

_LABELS = {
    "content": "content of both",
    "query_bias": "query's bias · key's content",
    "key_bias": "query's content · key's bias",
    "both_biases": "both biases",
    "position": "bias by position",
}


def scores(run: AblatedRun, args: dict, job: Job) -> dict:
    """`Qk` in js/src/source/ops.ts."""
    found = qk(run, _head(run.model, args))
    n, note = len(found.tokens), [found.note]
    terms = _terms(found)
    if n > MOST_SPLIT:
        terms = {}
        note.append(f"Parts are shown for prompts of up to {MOST_SPLIT} tokens, and this one has {n}; qk(run, '{found.head}') has them.")
    if found.conditional:
        note.append(f"With {', '.join(map(str, found.conditional))} ablated.")
    note += [f"Softmax of these is the model's own pattern to {found.off:.1g}.", _basis(found)]
    return {
        "head": found.head,
        "scores": _seen(found.scores + found.position_bias, found),
        "terms": [{"name": name, "label": _LABELS[name], "values": _seen(part, found)} for name, part in terms.items()],
        "q_norm": np.linalg.norm(found.q, axis=-1).tolist(),
        "k_norm": np.linalg.norm(found.k, axis=-1).tolist(),
        "scale": found.scale,
        "cap": found.cap,
        "note": " ".join(filter(None, note)),
    }


def sources(run: AblatedRun, args: dict, job: Job) -> dict:
    """`Why` in js/src/source/ops.ts."""
    query, key = (arguments.integer(args.get(name)) for name in ("query", "key"))
    found = attention_sources(run, _head(run.model, args), query, key, job.chunk)
    off = f"With {', '.join(map(str, found.conditional))} ablated." if found.conditional else ""
    return {
        "head": found.head,
        "query": found.query,
        "key": found.key,
        "score": found.score,
        "attention": found.attention,
        "cap": found.cap,
        "query_side": _side(found, found.query_side, found.query_tokens),
        "key_side": _side(found, found.key_side, found.key_tokens),
        "note": " ".join(filter(None, [off, "Exact, the norm's scale held at that of this run.", _basis(found)])),
    }


def circuit_ov(run: Run, args: dict, job: Job) -> dict:
    """`Ov` in js/src/source/ops.ts: of the tokens at the positions asked, each once, in the order of the prompt."""
    model = run.model
    positions = arguments.positions(args, MOST_TOKENS)
    ids = list(dict.fromkeys(int(run.ids[run.position(at)]) for at in positions))
    found = ov(
        model,
        _head(model, args),
        ids,
        embedding=arguments.choice(args, "embedding", EMBEDDINGS),
        less_mean=True,
        k=_k(args, model),
        progress=job.chunk,
    )
    known = int((~np.isnan(found.ranks)).sum())
    return {
        "head": found.head,
        "copying": found.copying,
        "share_first": found.share_first,
        "drawn": known,
        "vocabulary": found.vocabulary,
        "rows": [
            {"id": i, "token": token, "promoted": _lifts(promoted), "suppressed": _lifts(suppressed)}
            for i, token, promoted, suppressed in zip(found.ids, found.tokens, found.promoted, found.suppressed, strict=True)
        ],
        "block": Array(found.block.astype(np.float32)),
        "embedding": found.embedding,
        "note": _ov_note(found),
    }


def circuit_qk(model: Model, args: dict, job: Job) -> dict:
    """`QkCircuit` in js/src/source/ops.ts."""
    offset = arguments.integer(args.get("offset", 0))
    if abs(offset) > FURTHEST:
        raise AttnWidgetError(
            f"offset must be from -{FURTHEST} to {FURTHEST} here, not {offset}: qk_circuit(model, head) in a cell takes any."
        )
    job.chunk(0, 1, "Seeing how blocks write into the stream")
    found = qk_circuit(
        model,
        _head(model, args),
        offset=offset,
        embedding=arguments.choice(args, "embedding", EMBEDDINGS),
        k=_k(args, model),
        directions=DIRECTIONS,
        progress=job.chunk,
    )
    return {
        "head": found.head,
        "offset": found.offset if found.rotary else None,
        "pairs": [
            {"query": {"id": q_id, "token": q}, "key": {"id": k_id, "token": k}, "value": value} for q, q_id, k, k_id, value in found.pairs
        ],
        "directions": [
            {
                "value": one.value,
                "ends": [
                    {"query": _lifts(one.query_positive), "key": _lifts(one.key_positive)},
                    {"query": _lifts(one.query_negative), "key": _lifts(one.key_negative)},
                ],
            }
            for one in found.directions
        ],
        "kernel": None
        if found.kernel is None
        else {"offsets": list(range(len(found.kernel))), "values": [float(value) for value in found.kernel]},
        "embedding": found.embedding,
        "note": " ".join(filter(None, [found.note, _sharing("keys", found.shares_keys_with), _basis(found)])),
    }


def composed(model: Model, args: dict, job: Job) -> dict:
    """`Composition` in js/src/source/ops.ts: what the heads below write into this one, and what it writes into those above."""
    found = _all_pairs(model, job)
    head = _head(model, args)
    tables = {}
    for kind in KINDS:
        pairs = getattr(found, kind)
        table = pairs[:, :, head.layer, head.head].copy()
        table[head.layer + 1 :] = pairs[head.layer, head.head, head.layer + 1 :]
        tables[kind] = Array(table.astype(np.float32))
    return {
        "head": head,
        **tables,
        "baseline": found.baseline,
        "formula": found.formula,
        "note": f"Norms' gains folded in, their scales and all biases left out, positions too. {_basis(found)}",
    }


def _all_pairs(model: Model, job: Job) -> Composition:
    """Kept until the weights change: every head's answer is cut from it, whatever the prompt."""
    mark, found = _composed.get(model.engine, (None, None))
    if found is None or mark != model.engine.weights():
        job.chunk(0, 1, "Seeing how blocks write into the stream")
        mark, found = model.engine.weights(), composition(model, progress=job.chunk)
        _composed[model.engine] = mark, found
    return found


def _head(model: Model, args: dict) -> Head:
    return parse_head(args.get("head"), model.n_layers, model.n_heads)


def _side(found: AttentionSources, values: np.ndarray, tokens: np.ndarray) -> list[dict]:
    """The largest first."""
    terms = []
    for i in np.argsort(-np.abs(values), kind="stable"):
        name, read = found.components[i], tokens[i]
        shares = [] if np.isnan(read).any() else np.argsort(-np.abs(read), kind="stable")[:SOURCES]
        terms.append(
            {
                "name": name,
                "head": parse_head(name, 10**6, 10**6) if name.startswith("L") else None,
                "value": float(values[i]),
                "from": [{"position": int(at), "value": float(read[at])} for at in shares if read[at] != 0],
            }
        )
    return terms


def _k(args: dict, model: Model) -> int:
    k = arguments.integer(args.get("k", 5))
    most = min(50, model.vocabulary.size)
    if not 1 <= k <= most:
        raise AttnWidgetError(f"k must be a whole number from 1 to {most}, not {k}.")
    return k


def _terms(found: QKScores) -> dict[str, np.ndarray]:
    """Those that are not nothing. The bias by position is one where the model has one; it is no part of a product."""
    if not found.parts:
        return {}
    terms = {name: part for name, part in found.parts.items() if name == "content" or np.any(part[found.visible])}
    if np.any(found.position_bias[found.visible] < -1e-4):
        terms["position"] = found.position_bias
    return terms


def _seen(values: np.ndarray, found: QKScores) -> Array:
    return Array(np.where(found.visible, values, np.nan).astype(np.float32))


def _lifts(found: tuple[tuple[str, int, float], ...]) -> list[dict]:
    return [{"id": i, "token": token, "value": value} for token, i, value in found]


def _ov_note(found: OVCircuit) -> str:
    mean = f"less the mean over all {found.vocabulary:,} tokens as source" if found.less_mean else ""
    said = [f"Logits before the final norm's scale, {mean}.", _sharing("values", found.shares_values_with)]
    return " ".join(filter(None, [*said, _basis(found)]))


def _basis(found: QKScores | AttentionSources | OVCircuit | QKCircuit | Composition) -> str:
    return f"{found.processing[:1].upper()}{found.processing[1:]}, {found.dtype}."


def _sharing(what: str, heads: tuple[Head, ...]) -> str:
    return f"It shares its {what} with {', '.join(map(str, heads))}." if heads else ""
