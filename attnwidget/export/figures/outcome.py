"""What the model answers, clean beside ablated."""

from __future__ import annotations

from ...analysis.embedding import EmbeddingChange
from ...analysis.outcome import Outcome
from . import fonts, ink, parts
from .sheet import BODY, COLUMN, SMALL, Sheet, fitted, points
from .wording import bare, compact, percent, sentence, signed, visible

_HEADLINE = 15.0
_ROW = 12.5
_HEADING = {"next": "next token", "mask": "masked token", "class": "class"}


def outcome_bars(answer: Outcome, *, rows: int = 10, width: float | str | None = None) -> Sheet:
    """First choices, then target, foil and divergence, then a bar for each candidate: wide grey clean, thin orange ablated."""
    sheet = Sheet(points(width, COLUMN))
    y = _headline(sheet, answer)
    y = _numbers(sheet, answer, y + 10)
    y = _bars(sheet, answer, y + 8, rows)
    ablated = answer.ablated_top.ablated is not None
    scale = "bars: probability, one linear scale; grey clean" + (", orange ablated" if ablated else "")
    return sheet.end(y, sentence([answer.note, scale, "◎ target, ○ foil", "KL(clean ‖ ablated)" if ablated else ""]))


def _headline(sheet: Sheet, answer: Outcome) -> float:
    y, x, room = _HEADLINE, 0.0, sheet.width
    clean, now = answer.clean_top, answer.ablated_top
    said = [(bare(clean.token), percent(clean.clean.probability), ink.FG)]
    if now.ablated is not None:
        said.append((bare(now.token), percent(now.ablated.probability), ink.EFFECT))
        room = room / 2 - 16
    for i, (token, share, colour) in enumerate(said):
        if i:
            sheet.text(x + 3, y, "→", _HEADLINE, ink.FG3)
            x += 24
        written = fitted(token, room - fonts.width(share, BODY) - 8, _HEADLINE, bold=True)
        sheet.text(x, y, written, _HEADLINE, colour, bold=True)
        x += fonts.width(written, _HEADLINE, bold=True) + 4
        sheet.text(x, y, share, BODY + 1, colour)
        x += fonts.width(share, BODY + 1) + 6
    return y


def _numbers(sheet: Sheet, answer: Outcome, y: float) -> float:
    """◎ and ○ with their probability and rank, the logit difference, KL."""
    ablated = answer.ablated_top.ablated is not None
    right = [sheet.width * 0.62, sheet.width * 0.84, sheet.width]
    sheet.text(right[0], y + SMALL, "clean", SMALL, ink.FG3, anchor="end")
    if ablated:
        sheet.text(right[1], y + SMALL, "ablated", SMALL, ink.EFFECT, anchor="end")
        sheet.text(right[2], y + SMALL, "drop", SMALL, ink.FG3, anchor="end")
    y += SMALL + 3
    for mark, choice in (("◎", answer.target), ("○", answer.against)):
        if choice is None:
            continue
        y += _ROW - 1
        sheet.text(0, y, fitted(f"{mark} {visible(choice.token)}", right[0] * 0.6, BODY), BODY)
        sheet.text(right[0], y, f"{percent(choice.clean.probability)}, #{choice.clean.rank:,}", BODY, anchor="end")
        if choice.ablated is not None:
            now = choice.ablated
            sheet.text(right[1], y, f"{percent(now.probability)}, #{now.rank:,}", BODY, ink.EFFECT, anchor="end", bold=True)
            drop = 100 * (choice.clean.probability - now.probability)
            sheet.text(right[2], y, f"{signed(drop, 1 if abs(drop) < 0.95 else 0)} pp", BODY, anchor="end")
    if (difference := answer.logit_diff) is not None:
        y += _ROW - 1
        sheet.text(0, y, "logit ◎ − ○", BODY)
        sheet.text(right[0], y, signed(difference.clean), BODY, anchor="end")
        if difference.ablated is not None:
            sheet.text(right[1], y, signed(difference.ablated), BODY, ink.EFFECT, anchor="end", bold=True)
            sheet.text(right[2], y, signed(difference.clean - difference.ablated), BODY, anchor="end")
    if answer.kl is not None:
        y += _ROW - 1
        sheet.text(0, y, "KL(clean ‖ ablated)", BODY)
        sheet.text(right[1], y, f"{compact(answer.kl)} nats", BODY, ink.EFFECT, anchor="end", bold=True)
    return y


def _bars(sheet: Sheet, answer: Outcome, y: float, most: int) -> float:
    rows = answer.rows[:most]
    ablated = answer.ablated_top.ablated is not None
    numbers = [34.0, 34.0] if ablated else [34.0]
    names = [fitted(visible(row.token), sheet.width * 0.3, BODY, mono=True) for row in rows]
    left = parts.column(names, BODY, mono=True) + 14
    long = sheet.width - left - sum(numbers) - 4
    largest = max([1e-9, *(p.probability for row in rows for p in (row.clean, row.ablated) if p is not None)])
    sheet.text(left - 4, y + SMALL, _HEADING.get(answer.answer, ""), SMALL, ink.FG3, anchor="end")
    sheet.text(sheet.width - sum(numbers[1:]), y + SMALL, "clean", SMALL, ink.FG3, anchor="end")
    if ablated:
        sheet.text(sheet.width, y + SMALL, "ablated", SMALL, ink.EFFECT, anchor="end")
    y += SMALL + 3
    for row, name in zip(rows, names, strict=True):
        base = y + _ROW * 0.72
        role = "◎" if row.id == answer.target.id else "○" if answer.against is not None and row.id == answer.against.id else ""
        sheet.text(0, base, role, SMALL, ink.FG3)
        sheet.text(left - 4, base, name, BODY, anchor="end", mono=True)
        sheet.rect(left, y + 1.5, long * row.clean.probability / largest, _ROW - 4, ink.CLEAN, id=f"clean-{row.id}")
        sheet.text(sheet.width - sum(numbers[1:]), base, percent(row.clean.probability), BODY, ink.FG2, anchor="end")
        if row.ablated is not None:
            sheet.rect(left, y + _ROW / 2 - 1.9, long * row.ablated.probability / largest, 3.2, ink.EFFECT_BAR, id=f"ablated-{row.id}")
            sheet.text(sheet.width, base, percent(row.ablated.probability), BODY, ink.EFFECT, anchor="end", bold=True)
        y += _ROW
    return y


def embedding_table(changes: list[EmbeddingChange], *, width: float | str | None = None) -> Sheet:
    """How far an ablation moves the embedding of a model without a head, by each way of pooling."""
    sheet = Sheet(points(width, COLUMN))
    y = parts.title(sheet, 0, "Embedding", "ablated against clean")
    right = [sheet.width * 0.72, sheet.width]
    for x, text in zip(right, ("1 − cos", "L2"), strict=True):
        sheet.text(x, y + SMALL + 4, text, SMALL, ink.FG3, anchor="end")
    y += SMALL + 6
    for change in changes:
        y += _ROW
        sheet.text(0, y, f"{change.pooling}, {len(change.positions)} positions", BODY)
        sheet.text(right[0], y, compact(change.cosine_distance), BODY, ink.EFFECT, anchor="end", bold=True)
        sheet.text(right[1], y, compact(change.l2), BODY, ink.EFFECT, anchor="end", bold=True)
    return sheet.end(y + 4, sentence([change.describe() for change in changes]))
