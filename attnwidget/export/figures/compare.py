"""Two prompts: their tokens aligned, one head's maps in both, what they answer, and the heads that differ most."""

from __future__ import annotations

import numpy as np

from ...analysis.compared import COMPARED
from ...analysis.comparison import Comparison, PatternDifference
from ...errors import AttnWidgetError
from ...heads import HeadLike
from . import fonts, ink, parts
from .maps import Map, cells, legend, prepared
from .sheet import BODY, PAGE, SMALL, Sheet, fitted, points
from .wording import bare, compact, percent, sentence, visible

_ROW = 11.5


def compared(found: Comparison, head: HeadLike | None = None, by: str = "js", *, k: int = 8, width: float | str | None = None) -> Sheet:
    """`head`: whose maps are drawn; by default the one that differs most by the number `by`, which also orders the table of `k` heads."""
    if by not in COMPARED:
        raise AttnWidgetError(f"No number {by!r} in a comparison: there are {', '.join(COMPARED)}.")
    if by in found.undefined or np.isnan(found.values.get(by, np.array(np.nan))).all():
        raise AttnWidgetError(
            f"{by!r} is undefined for these prompts ({found.undefined.get(by, 'no head has it')}): choose another number."
        )
    heads = found.scores(by).top(k, by="size")
    sheet = Sheet(points(width, PAGE))
    y = parts.title(sheet, 0, "Two prompts", found.alignment.describe()) + 4
    y = _tokens(sheet, y, found)
    difference = found.pattern_difference(heads[0] if head is None else head)
    y = _maps(sheet, y + 4, difference, found.run.model.causal)
    y = _answers(sheet, y + 4, found)
    y = _table(sheet, y + 4, found, heads, by)
    about = "rows divided by their sum over aligned keys" if found.renormalised else ""
    said = [
        found.describe(),
        about,
        f"maps: {difference.head}; difference is A less B",
        f"heads by {COMPARED[by].label}: {COMPARED[by].formula}",
    ]
    causal = COMPARED[by].causal
    return sheet.end(y, sentence([*said, "" if causal else "how alike pictures are, the effect of nothing", "exact"]))


def _tokens(sheet: Sheet, y: float, found: Comparison) -> float:
    """A over B, one column a pair or gap; what differs is underlined."""
    columns = _columns(found)
    x, row = 14.0, 30.0
    for name, base in (("A", y + 9), ("B", y + 21)):
        sheet.text(0, base, name, BODY, bold=True)
    for a, b, same in columns:
        texts = ["" if t is None else visible(t) for t in (a, b)]
        wide = max(*(fonts.width(text, BODY, mono=True) for text in texts), 8) + 6
        if x > 14 and x + wide > sheet.width:
            x, y = 14.0, y + row
            for name, base in (("A", y + 9), ("B", y + 21)):
                sheet.text(0, base, name, BODY, bold=True)
        for text, top in zip(texts, (y + 1, y + 13), strict=True):
            if not text:
                sheet.line(((x, top + 5), (x + wide - 2, top + 5)), ink.RULE, dash=(2, 2))
                continue
            sheet.rect(x, top, wide - 2, 10.5, ink.RAISE)
            sheet.text(x + 2, top + 8, text, BODY, mono=True, bold=not same)
            if not same:
                sheet.line(((x, top + 10.5), (x + wide - 2, top + 10.5)), ink.EFFECT_BAR, line=1.0)
        x += wide
    return y + row


def _columns(found: Comparison) -> list[tuple[str | None, str | None, bool]]:
    alignment = found.alignment
    pairs, out, a, b = list(alignment.pairs), [], 0, 0
    for left, right in [*pairs, (len(alignment.tokens), len(alignment.other_tokens))]:
        out += [(token, None, False) for token in alignment.tokens[a:left]]
        out += [(None, token, False) for token in alignment.other_tokens[b:right]]
        if left < len(alignment.tokens) and right < len(alignment.other_tokens):
            out.append((alignment.tokens[left], alignment.other_tokens[right], (left, right) in alignment.equal))
        a, b = left + 1, right + 1
    return out


def _maps(sheet: Sheet, y: float, found: PatternDifference, causal: bool) -> float:
    side = min(130.0, (sheet.width - 32) / 3)
    most = ink.largest(found.values) or 1.0
    # A causal map stays one, since aligned positions ascend in both prompts.
    maps = [
        Map(prepared(found.first, causal=causal), f"{found.head} A"),
        Map(prepared(found.other, causal=causal), f"{found.head} B"),
        Map(prepared(found.values, causal=causal), f"{found.head} A − B", signed=True, most=most),
    ]
    for i, one in enumerate(maps):
        x = i * (side + 16)
        sheet.text(x, y + BODY, one.name, BODY, bold=True)
        cells(sheet, x, y + BODY + 4, side, one, numbers=False)
    below = y + BODY + 4 + side + 6
    legend(sheet, 0, below, maps[0], "attention")
    legend(sheet, 2 * (side + 16), below, maps[2], "difference")
    return below + 16


def _answers(sheet: Sheet, y: float, found: Comparison) -> float:
    answers = found.answers
    if not answers.rows:
        text = f"Embeddings: 1 − cos {compact(answers.embedding_cosine)}, L2 {compact(answers.embedding_l2)}"
        sheet.text(0, y + BODY, text, BODY)
        return y + BODY + 6
    first, other = (max(answers.rows, key=lambda row, side=side: getattr(row, side).probability) for side in ("run", "other"))
    text = f"A answers {bare(first.token)} {percent(first.run.probability)}, B {bare(other.token)} {percent(other.other.probability)}"
    numbers = f"KL(A ‖ B) {compact(answers.kl)}, KL(B ‖ A) {compact(answers.kl_back)}, JS {compact(answers.js)} nats"
    y = sheet.paragraph(0, y + BODY, sheet.width, f"{text}. {numbers}.", BODY, ink.FG)
    return y - BODY + 2


def _table(sheet: Sheet, y: float, found: Comparison, heads: list, by: str) -> float:
    """The heads in the order of `by`, with the numbers that most people ask for."""
    names = [name for name in dict.fromkeys((by, "js", "max_difference", "z_cosine", "noising", "denoising")) if name in found.values]
    names = [name for name in names if not np.isnan(found.values[name]).all()]
    left = 44.0
    pitch = (sheet.width - left) / len(names)
    for j, name in enumerate(names):
        sheet.text(left + (j + 1) * pitch, y + SMALL, fitted(name.replace("_", " "), pitch - 4, SMALL), SMALL, ink.FG3, anchor="end")
    y += SMALL + 3
    for head in heads:
        sheet.text(0, y + _ROW * 0.72, str(head), BODY, bold=True)
        for j, name in enumerate(names):
            value = float(found.values[name][head])
            sheet.text(left + (j + 1) * pitch, y + _ROW * 0.72, compact(value), BODY, anchor="end", id=f"{name}-{head}")
        y += _ROW
    return y + 2
