"""Two texts: what the model says, and what it says with heads ablated."""

from __future__ import annotations

from ...analysis.generation import Continuation, Generation
from . import fonts, ink, parts
from .sheet import BODY, PAGE, SMALL, Sheet, points
from .wording import compact, percent, sentence, visible

_ROW, _PAD = 15.0, 2.5


def generation_texts(found: Generation, *, step: int | None = None, width: float | str | None = None) -> Sheet:
    """Both texts token by token; from the first that differs on, differing tokens are bold and underlined. Then what each run considered
    at `step`: by default the first at which they differ."""
    sheet = Sheet(points(width, PAGE))
    y = parts.title(sheet, 0, "Generate")
    sides = [("clean", found.control, ink.FG2)] + ([("ablated", found.ablated, ink.EFFECT)] if found.ablated is not None else [])
    for name, text, colour in sides:
        sheet.text(0, y + SMALL + 2, name, SMALL, colour, bold=True)
        y = _text(sheet, y + SMALL + 6, text, found, name) + 4
    at = step if step is not None else found.diverges or 0
    y = _considered(sheet, y + 4, sides, at)
    said = [found.note, "texts that differ are never scored position by position"]
    if found.forced is not None:
        forced = found.forced
        both = f"perplexity {compact(forced.perplexity.clean)} clean, {compact(forced.perplexity.ablated)} ablated"
        said.append(
            f"on the {forced.tokens} tokens of the {forced.on} text, both teacher-forced: mean KL {compact(forced.kl)} nats, {both}, "
            f"first choice changed at {percent(forced.top1_changed)}"
        )
    said.append("bold and underlined: not the token at the same place of the other text" if found.diverges is not None else "")
    return sheet.end(y, sentence(said))


def _text(sheet: Sheet, y: float, text: Continuation, found: Generation, name: str) -> float:
    other = found.ablated if name == "clean" else found.control
    x = 0.0
    for i, one in enumerate(text.steps):
        written = visible(one.token).removeprefix("·")
        wide = fonts.width(written, BODY, mono=True) + 2 * _PAD + (fonts.width(" ", BODY, mono=True) if one.token.startswith(" ") else 0)
        if x and x + wide > sheet.width:
            x, y = 0.0, y + _ROW
        differs = found.diverges is not None and other is not None and (i >= len(other.steps) or other.steps[i].id != one.id)
        sheet.rect(x, y, wide - 1, _ROW - 3, ink.RAISE, id=f"{name}-{i}")
        sheet.text(x + wide - _PAD - 0.5, y + BODY + 1, written, BODY, anchor="end", mono=True, bold=differs)
        if differs:
            sheet.line(((x, y + _ROW - 3), (x + wide - 1, y + _ROW - 3)), ink.EFFECT_BAR, line=1.2)
        x += wide
    if not text.steps:
        sheet.text(0, y + BODY, "no token", BODY, ink.FG3)
    return y + _ROW


def _considered(sheet: Sheet, y: float, sides: list[tuple[str, Continuation, str]], at: int) -> float:
    shown = [(name, text.steps[at], colour) for name, text, colour in sides if at < len(text.steps)]
    if not shown:
        return y
    sheet.text(0, y + SMALL, f"Token {at + 1}: what each run considered", SMALL, ink.FG2)
    y += SMALL + 5
    wide = sheet.width / max(2, len(shown)) - 12
    for column, (name, one, _) in enumerate(shown):
        x = column * (wide + 24)
        names = [visible(other.token) for other in one.alternatives]
        left = parts.column(names, BODY, mono=True) + 6
        for i, (other, text) in enumerate(zip(one.alternatives, names, strict=True)):
            top = y + i * 11
            fill = ink.CLEAN2 if name == "clean" else ink.EFFECT_BAR
            sheet.text(x + left - 4, top + BODY, text, BODY, anchor="end", mono=True, bold=other.id == one.id)
            sheet.rect(x + left, top + 1.5, (wide - left - 30) * other.probability, 6.5, fill, id=f"{name}-considered-{other.id}")
            sheet.text(x + wide, top + BODY, percent(other.probability), BODY, ink.FG2, anchor="end")
    return y + 11 * max(len(one.alternatives) for _, one, _ in shown) + 2
