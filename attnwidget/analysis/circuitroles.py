"""What heads of a circuit were seen to do. A head has a role where a criterion was measured and met, and nothing else is called a role.

The names are those of K. Wang et al., Interpretability in the Wild (2022), and C. Olsson et al. (2022); "-like" says that the criterion is
ours, on one prompt, and not the evidence those papers gave for their heads.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..engine import Edit
from ..engine.components import Components, Trace
from ..heads import Head
from ..run import Run
from .circuit import Role
from .edgegraph import EdgeGraph
from .headkinds import HeadKinds
from .patching import Pair
from .wording import number, token

LOOKS = 0.2
"""The attention from the position to the target that a name-mover-like head must have."""
RAISES = 0.05
"""What patching an edge into its queries must add to a name-mover-like head's attention to `against`."""
ROLES_OF_KINDS = {"previous_token": "previous-token", "duplicate_token": "duplicate-token", "induction": "induction"}
MOVER, NEGATIVE, INHIBITION = "name-mover-like", "negative-name-mover-like", "inhibition-like"


def kind_roles(heads: Sequence[Head], kinds: HeadKinds) -> dict[Head, list[Role]]:
    """previous-token, duplicate-token and induction: found by `detect_heads` (score at or over its threshold, and above chance)."""
    found: dict[Head, list[Role]] = {}
    for name, role in ROLES_OF_KINDS.items():
        inside = set(kinds.heads(name)) & set(heads)
        for head in sorted(inside):
            shown = (
                f"score {number(kinds[name].values[head])}, chance {number(kinds[name].chance)}, threshold {kinds.fixed:g}; {kinds.setting}"
            )
            found.setdefault(head, []).append(Role(role, shown))
    return found


def mover_roles(run: Run, graph: EdgeGraph, effects: dict[int, float], target: int, position: int) -> dict[Head, Role]:
    """name-mover-like and negative-name-mover-like, of the heads with a kept edge into logits.

    From `position` the head attends to an occurrence of the target token in the prompt more than to any other token but the first, and at
    least 0.2; patching its edge into logits lowers (negative: raises) the metric. The first token is no occurrence: many heads rest there.
    """
    found: dict[Head, Role] = {}
    places = occurrences(run, target, position)
    if not places:
        return found
    for edge, effect in effects.items():
        source = graph.nodes[graph.source[edge]]
        if source.kind != "head" or graph.destinations[graph.destination[edge]].input != "logits" or effect == 0:
            continue
        head = Head(source.layer, source.head)
        row = run.pattern(head)[position].double().cpu()
        best = max(places, key=lambda place: row[place].item())
        rest = [row[i].item() for i in range(1, len(row)) if i not in places]
        other = max(rest, default=0.0)
        if row[best].item() >= LOOKS and row[best].item() > other:
            said = f"attention {number(row[best].item())} to {token(run.tokens[best])} at token {best}, at most {number(other)} elsewhere"
            shown = f"{said} but the first; effect of its edge into logits {number(effect)}"
            found[head] = Role(MOVER if effect > 0 else NEGATIVE, shown)
    return found


def inhibition_roles(pair: Pair, edges: Sequence[int], movers: Sequence[Head], against: int, position: int) -> dict[Head, Role]:
    """inhibition-like, of the heads with a kept edge into the queries of a name-mover-like head (or a negative one).

    With that one edge patched, the mover attends 0.05 more, or over, from `position` to the occurrences of `against` after the first token.
    Of several such edges of a head the one that raises it most is shown.
    """
    places = occurrences(pair.clean, against, position)
    found: dict[Head, tuple[float, Role]] = {}
    graph, movers = pair.graph, set(movers)
    wanted = [
        edge
        for edge in edges
        if graph.nodes[graph.source[edge]].kind == "head"
        and graph.destinations[graph.destination[edge]].input == "q"
        and graph.destinations[graph.destination[edge]].readers[0] in movers
    ]
    if not places or not wanted:
        return {}
    clean, other = pair.traces
    for edge in wanted:
        source, destination = graph.nodes[graph.source[edge]], graph.destinations[graph.destination[edge]]
        head, mover = Head(source.layer, source.head), destination.readers[0]
        delta = _written(other, head) - _written(clean, head)
        after = patched_attention(pair.clean, clean.parts, mover, delta, position)[places].sum().item()
        before = pair.clean.pattern(mover)[position].double().cpu()[places].sum().item()
        if after - before >= RAISES and (head not in found or after - before > found[head][0]):
            name = token(pair.clean.model.vocabulary.text(against))
            shown = f"with its edge into {mover}.q patched, {mover}'s attention to {name} goes from {number(before)} to {number(after)}"
            found[head] = after - before, Role(INHIBITION, shown)
    return {head: role for head, (_, role) in found.items()}


def occurrences(run: Run, token_id: int, position: int) -> list[int]:
    """Where a token stands in the prompt, of the positions that may be seen from `position`, the first token left out."""
    last = position if run.model.causal else len(run.ids) - 1
    return [i for i in range(1, last + 1) if run.ids[i] == token_id]


def _written(seen: Trace, head: Head) -> Tensor:
    return seen.parts.heads(head.layer, seen.z[head.layer])[0, :, head.head]


def patched_attention(run: Run, parts: Components, mover: Head, delta: Tensor, position: int) -> Tensor:
    """[key] in float64: where `mover` looks from `position` when its queries read the clean stream and `delta` [position, d_model]."""
    stream = run._resid[mover.layer]
    with torch.no_grad(), parts.passing():
        queries = parts.inputs(mover.layer, stream + delta.to(stream))[0][:, :, mover.head]

    def patched(states: Tensor) -> Tensor:
        new = states.clone()
        new[:, :, mover.head] = queries.to(states)
        return new

    edit, layer = Edit(mover.layer, "q", patched), mover.layer
    passed = run.model.engine.resume(run._recording, [edit], start=layer, stop=layer + 1, resid=stream, capture=[("pattern", layer)])
    return passed.captured["pattern", mover.layer][0, mover.head, position].double().cpu()


def roles_of(
    pair: Pair,
    effects: dict[int, float],
    heads: Sequence[Head],
    kinds: HeadKinds | None,
    target: int | None,
    against: int | None,
    position: int | None,
) -> dict[Head, tuple[Role, ...]]:
    """The roles of the heads of a circuit, whose kept edges have these measured `effects`. A classifier answers with no token, and at no
    position (None), so its heads move no name."""
    found: dict[Head, list[Role]] = {} if kinds is None else kind_roles(heads, kinds)
    if target is not None and position is not None:
        movers = mover_roles(pair.clean, pair.graph, effects, target, position)
        inhibiting = {} if against is None else inhibition_roles(pair, list(effects), list(movers), against, position)
        for some in (movers, inhibiting):
            for head, role in some.items():
                found.setdefault(head, []).append(role)
    return {head: tuple(roles) for head, roles in found.items()}
