"""A head from the inside: its scores before the softmax, and what its OV circuit makes of tokens."""

from __future__ import annotations

import numpy as np

from ...analysis.ovresult import OVCircuit
from ...analysis.qkresult import QKCircuit
from ...analysis.qkscores import QKScores
from ...errors import AttnWidgetError
from . import ink, parts
from .maps import Map, labelled, legend
from .sheet import BODY, COLUMN, PAGE, SMALL, Sheet, fitted, points
from .wording import compact, percent, sentence, visible

_ROW = 11.5


def qk_map(found: QKScores, *, part: str = "scores", less_row_mean: bool = True, width: float | str | None = None) -> Sheet:
    """Scores before the softmax (`part` "scores" or "scaled"), or one of `found.parts`. A softmax does not see what is the same for all
    keys of a query: `less_row_mean` takes each row's mean over the keys it may see away."""
    terms = {"scores": found.scores, "scaled": found.scaled, **found.parts}
    if part not in terms:
        raise AttnWidgetError(f"part must be one of {', '.join(map(repr, terms))}, not {part!r}.")
    values = np.where(found.visible, terms[part], np.nan)
    if less_row_mean:
        values = values - np.nanmean(values, axis=1, keepdims=True)
    causal = not np.triu(found.visible, 1).any()
    of = Map(values, f"{found.head}", signed=True, most=ink.largest(values) or 1.0)
    sheet = Sheet(points(width, COLUMN))
    named = part.replace("_", " ") if part != "scores" else "score before the softmax"
    y = parts.title(sheet, 0, f"{found.head} QK", named + (", less row mean" if less_row_mean else ""))
    y = labelled(sheet, y + 4, sheet.width, of, found.tokens, causal=causal)
    legend(sheet, 0, y + 6, of, "score")
    cap = "" if found.cap is None else f", soft-cap {found.cap:g}"
    said = [f"Scores of {found.head}: {found.scale:.4g} · q·k{cap}", f"softmax of them is the model's pattern to {found.off:.1g}"]
    said += [f"with {parts.heads_named(found.conditional)} ablated" if found.conditional else "clean run", found.note]
    said += ["orange and purple are signs, no intervention", found.processing, found.dtype, "exact"]
    return sheet.end(y + 19, sentence(said) + " Rows are queries, columns keys.")


def ov_map(found: OVCircuit, *, width: float | str | None = None) -> Sheet:
    """What reading a token (row) adds to the logit of each (column), and what it makes most and least likely in the whole vocabulary."""
    if found.block is None:
        raise AttnWidgetError("This OV circuit was read for no tokens: name some, ov(run, head, tokens=...), to have a map of them.")
    sheet = Sheet(points(width, PAGE))
    beside = sheet.width >= 360
    side = sheet.width * 0.5 if beside else sheet.width
    y = parts.title(sheet, 0, f"{found.head} OV", "reads the row's token, lifts the logit of the column's") + 4
    of = Map(found.block, str(found.head), signed=True, most=ink.largest(found.block) or 1.0)
    drawn = Sheet(side)
    bottom = y + labelled(drawn, 0, side, of, found.tokens, causal=False)
    sheet.put(drawn, 0, y)
    legend(sheet, 0, bottom + 6, of, "logits before the final norm's scale")
    left, top = (side + 16, y) if beside else (0.0, bottom + 26)
    end = _lifts(sheet, left, top, sheet.width - left, found)
    shares = (
        "" if not len(found.ranks) else f"{percent(found.share_first)} of {len(found.ranks)} drawn tokens promote none more than themselves"
    )
    said = [f"OV circuit of {found.head}, from the weights", f"copying Σ Re λ / Σ |λ| = {compact(found.copying)}", shares]
    said += [f"embedding: {found.embedding}", "less the mean over all tokens looked at" if found.less_mean else ""]
    said += ["orange and purple are signs, no intervention", found.processing, found.dtype, "exact"]
    return sheet.end(max(bottom + 19, end), sentence(said))


def qk_pairs(found: QKCircuit, *, k: int = 12, width: float | str | None = None) -> Sheet:
    """The pairs of tokens with the largest scores, from the weights, whatever the prompt."""
    sheet = Sheet(points(width, COLUMN))
    y = parts.title(sheet, 0, f"{found.head} QK", "the largest scores of all pairs of tokens") + 4
    right = [sheet.width * 0.4, sheet.width * 0.48, sheet.width]
    for x, text, anchor in zip(right, ("query", "key", "score"), ("end", "start", "end"), strict=True):
        sheet.text(x, y + SMALL, text, SMALL, ink.FG3, anchor=anchor)
    y += SMALL + 3
    for query, _, key, _, value in found.pairs[:k]:
        base = y + _ROW * 0.72
        sheet.text(right[0], base, fitted(visible(query), right[0], BODY, mono=True), BODY, anchor="end", mono=True)
        sheet.text(right[1], base, fitted(visible(key), sheet.width * 0.35, BODY, mono=True), BODY, mono=True)
        sheet.text(right[2], base, compact(value), BODY, anchor="end")
        y += _ROW
    at = f"offset {found.offset}" if found.rotary else ""
    said = [f"QK circuit of {found.head}, from the weights", at, f"embedding: {found.embedding}", f"norm's scale: {found.norm_scale}"]
    return sheet.end(y + 2, sentence([*said, found.note, found.processing, found.dtype, "exact"]))


def _lifts(sheet: Sheet, x: float, y: float, wide: float, found: OVCircuit, few: int = 3) -> float:
    columns = [(0.0, "reads"), (0.3, "promotes"), (0.66, "suppresses")]
    for share, text in columns:
        sheet.text(x + share * wide, y + SMALL, text, SMALL, ink.FG3)
    y += SMALL + 3
    seen: set[str] = set()
    for token, up, down in zip(found.tokens, found.promoted, found.suppressed, strict=True):
        if token in seen:
            continue
        seen.add(token)
        base = y + _ROW * 0.72
        sheet.text(x, base, fitted(visible(token), 0.28 * wide, BODY, mono=True), BODY, mono=True)
        for share, some, colour in ((0.3, up, ink.EFFECT), (0.66, down, ink.HURT)):
            words = " ".join(visible(other) for other, _, _ in some[:few])
            sheet.text(x + share * wide, base, fitted(words, 0.34 * wide, BODY, mono=True), BODY, colour, mono=True)
        y += _ROW
    return y
