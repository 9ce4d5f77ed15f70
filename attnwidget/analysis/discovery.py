"""`discover_circuit`: which edges between components carry an answer, each of them and the whole measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from ..errors import AttnWidgetError
from ..heads import Head
from ..run import Run
from .circuit import Circuit, CircuitEdge, CircuitNode, Role
from .circuitchecks import completeness, minimality
from .circuitcurve import EDGES, Attempt, Faithfulness, cpr_and_cmd, curve, in_steps, ranked, sizes_of, top
from .circuitroles import ROLES_OF_KINDS, roles_of
from .discoverynotes import note, python, value_of
from .discoveryquestion import LIMIT, METHODS, CircuitQuestion, ask
from .discoveryscores import scores_of
from .edgegraph import EdgeGraph
from .headkinds import HeadKinds
from .kinds import detect_heads
from .method import Progress
from .patching import edge_effects
from .secondprompt import Counterfactual, Token


def discover_circuit(
    run: Run,
    counterfactual: Counterfactual | Run | str | Sequence[int] | None = None,
    *,
    method: str = "eap_ig",
    steps: int = 5,
    metric: str = "logit_diff",
    target: str | int | None = None,
    against: str | int | None = None,
    position: int | None = None,
    edges: int = 100,
    random: int = 10,
    seed: int = 0,
    checks: bool = True,
    sizes: Sequence[int] | None = None,
    limit: int = LIMIT,
    kinds: HeadKinds | None = None,
    progress: Progress | None = None,
    partial: Callable[[Circuit], None] | None = None,
) -> Circuit:
    """The circuit of an answer: the edges that `method` ranks first, less those that lead nowhere, and what was measured of them.

    Args:
        run: a clean run.
        counterfactual: a prompt of as many tokens in which what the answer hangs on is another: from `counterfactual(run, ...)`, a run, a
            text or ids. What a circuit leaves out carries what it carries there. Only "information_flow" does without.
        method: how edges are ranked. "eap_ig" (Hanna et al. 2024) and "eap" (Syed et al. 2023) estimate every edge's effect by gradients;
            "exact" patches every edge; "information_flow" (Ferrando and Voita 2024) follows what was written, whatever is asked.
        steps: of "eap_ig".
        metric, target, against, position: what is asked, as in `score`; `against` is by default the counterfactual's first choice.
            What a `Counterfactual` was made for is its own, unless said otherwise here.
        edges: how many of the edges of largest |score| are taken; those whose score is 0 (or, of "exact", no more than
            `rounding_of` measures) never are.
        random: random circuits beside each size of the curve.
        seed: of random circuits, and of the sets of nodes of the checks.
        checks: completeness and minimality too.
        sizes: of the curve, besides MIB's shares; by default 1, 2, 5, 10 ... up to `edges`.
        limit: the most edges that "exact" patches; it refuses more, and says what they would cost.
        kinds: from `detect_heads(model)`, for the roles; asked for here unless given.
        progress: `progress(done, total, text)`, within each stage; what it raises ends the search.
        partial: called with the circuit as far as it has come: scores; measured effects; each point of the curve; each check.

    Every kept edge is patched by itself (`CircuitEdge.effect`) and left out by itself (`without`), whatever the method.

    Raises:
        AttnWidgetError: prompts of different length or the same prompt; two prompts that give the same answer; "eap" of KL, whose slope
            there is zero; no counterfactual; more edges than `limit`.
        ModelError: a model whose heads do not write into the stream by addition (BERT, Gemma 2, OLMo 2), or that cannot be taken apart
            otherwise.
    """
    about = {"metric": metric, "target": target, "against": against, "position": position}
    how = {"steps": steps, "edges": edges, "random": random, "seed": seed, "checks": checks, "sizes": sizes, "limit": limit}
    asked = ask(run, counterfactual, method, about, how, kinds)
    return search(asked, kinds, progress, partial)


def search(
    asked: CircuitQuestion,
    kinds: HeadKinds | None = None,
    progress: Progress | None = None,
    partial: Callable[[Circuit], None] | None = None,
    attempt: Attempt | None = None,
) -> Circuit:
    """The answer to a checked question. With `attempt`, measurements go in steps that may be given up and done again."""
    show = partial or (lambda circuit: None)
    for circuit in _Search(asked, kinds, progress or (lambda done, total, text: None), attempt).stages():
        show(circuit)
    return circuit


@dataclass(frozen=True)
class _Search:
    """A search, from the scores of all edges to the checks of the circuit."""

    asked: CircuitQuestion
    kinds: HeadKinds | None
    progress: Progress
    attempt: Attempt | None

    def stages(self) -> Iterator[Circuit]:
        """The circuit after each stage, the last one whole."""
        asked, graph, pair = self.asked, self.asked.graph, self.asked.pair
        scores = scores_of(asked, self.progress)
        order = ranked(scores, pair.rounding if asked.method == "exact" else 0.0)
        taken = order[: asked.edges]
        mask = graph.prune(top(taken, len(taken), len(graph)))
        kept = [int(edge) for edge in taken if mask[edge]]
        circuit = self._with_edges(self._whole(scores, mask, len(taken), kept), kept)
        yield circuit
        if pair is None:
            return
        # What "exact" ranked by is measured already.
        effects = dict(zip(kept, (scores[kept] if asked.method == "exact" else self._effects(kept)).tolist(), strict=True))
        circuit = self._with_edges(circuit, kept, effects)
        yield circuit
        measure = Faithfulness(pair, self.attempt)
        (faithful,) = measure([mask], self._said("Running the circuit"))
        circuit = replace(circuit, faithfulness=float(faithful))
        yield circuit
        sizes = sizes_of(len(taken), len(graph), asked.sizes)
        for points in curve(measure, order, sizes, asked.random, asked.seed, self.progress):
            circuit = replace(circuit, curve=points)
            yield circuit
        cpr, cmd = cpr_and_cmd(circuit.curve, len(graph))
        alone = (mask & (np.arange(len(mask)) != edge) for edge in kept)
        without = measure(alone, self._said("Running the circuit without each edge"), len(kept))
        roles, unsaid = self._roles(effects)
        circuit = self._with_edges(circuit, kept, effects, dict(zip(kept, without.tolist(), strict=True)), roles)
        circuit = replace(circuit, cpr=cpr, cmd=cmd, note=" ".join([circuit.note, *unsaid]))
        yield circuit
        if asked.checks and kept:
            yield from self._checks(circuit, measure, mask, roles)

    def _whole(self, scores: np.ndarray, mask: np.ndarray, taken: int, kept: Sequence[int]) -> Circuit:
        """The circuit without its edges; `taken` were ranked first, `kept` of them lead somewhere."""
        asked, model, measure, pair = self.asked, self.asked.run.model, self.asked.measure, self.asked.pair
        told = asked.method != "information_flow" or pair is not None
        return Circuit(
            method=asked.method,
            label=asked.words("label"),
            formula=asked.words("formula"),
            exact=METHODS[asked.method].exact,
            metric=measure.metric.name,
            target=_token(asked.run, measure.target if told else None),
            against=_token(asked.run, measure.against if told else None),
            position=measure.position,
            nodes=(),
            edges=(),
            total=len(asked.graph),
            pruned=taken - len(kept),
            clean=value_of(measure, asked.run),
            counterfactual=None if pair is None else value_of(measure, pair.counterfactual),
            note=note(asked, taken, len(kept)),
            python=python(asked),
            graph=asked.graph,
            scores=scores,
            mask=mask,
            shape=(model.n_layers, model.n_heads),
            dtype=model.precision,
        )

    def _with_edges(
        self,
        circuit: Circuit,
        kept: Sequence[int],
        effects: Mapping[int, float] = MappingProxyType({}),
        without: Mapping[int, float] = MappingProxyType({}),
        roles: Mapping[Head, tuple[Role, ...]] = MappingProxyType({}),
    ) -> Circuit:
        """The circuit with its nodes and edges as far as they are known, the edges of largest effect (or score) first."""
        graph = circuit.graph
        used = _nodes(graph, kept)
        places = {node: i for i, node in enumerate(used)}
        nodes = tuple(
            CircuitNode(one.name, one.kind, one.layer, one.head, roles.get(Head(one.layer, one.head), ()) if one.kind == "head" else ())
            for one in (graph.nodes[node] for node in used)
        )
        edges = []
        for edge in sorted(kept, key=lambda edge: -abs(effects.get(edge, circuit.scores[edge]))):
            destination = graph.destinations[graph.destination[edge]]
            end = next(node for node in destination.nodes if node in places)
            edges.append(
                CircuitEdge(
                    source=places[int(graph.source[edge])],
                    target=places[end],
                    input=destination.input,
                    label=graph.label(edge),
                    readers=destination.readers,
                    score=float(circuit.scores[edge]),
                    effect=effects.get(edge),
                    without=without.get(edge),
                )
            )
        return replace(circuit, nodes=nodes, edges=tuple(edges))

    def _roles(self, effects: dict[int, float]) -> tuple[dict[Head, tuple[Role, ...]], list[str]]:
        """The roles, and what could not be said."""
        asked, graph = self.asked, self.asked.graph
        heads = [Head(node.layer, node.head) for i in _nodes(graph, list(effects)) if (node := graph.nodes[i]).kind == "head"]
        kinds, unsaid = self.kinds, []
        if not asked.run.model.selftest.reads_patterns:
            return {}, ["No roles: the attention patterns of this model cannot be read."]
        if kinds is None and heads:
            try:
                kinds = detect_heads(asked.run.model, list(ROLES_OF_KINDS), progress=self.progress)
            except AttnWidgetError as error:
                unsaid.append(f"Not looked for: {', '.join(ROLES_OF_KINDS.values())} ({str(error).split(':')[0]}).")
        measure = asked.measure
        return roles_of(asked.pair, effects, heads, kinds, measure.target, measure.against, measure.position), unsaid

    def _checks(self, circuit: Circuit, measure: Faithfulness, mask: np.ndarray, roles: Mapping[Head, Sequence[Role]]) -> Iterator[Circuit]:
        graph, used = circuit.graph, _nodes(circuit.graph, np.flatnonzero(mask))
        places = {node: i for i, node in enumerate(used)}
        parts = [node for node in used if graph.nodes[node].kind in ("head", "mlp")]
        heads = {Head(graph.nodes[i].layer, graph.nodes[i].head): i for i in parts if graph.nodes[i].kind == "head"}
        names = dict.fromkeys(role.name for some in roles.values() for role in some)
        classes = {name: [heads[h] for h, some in roles.items() if any(role.name == name for role in some)] for name in names}
        found = minimality(measure, mask, parts, self.asked.seed, self.progress)
        circuit = replace(circuit, minimality=tuple(_numbered(one, places, node=places[one.node]) for one in found))
        yield circuit
        for some in completeness(measure, mask, parts, classes, self.asked.seed, self.progress):
            circuit = replace(circuit, completeness=tuple(_numbered(one, places) for one in some))
            yield circuit

    def _effects(self, kept: Sequence[int]) -> np.ndarray:
        pair = self.asked.pair
        order = np.argsort(kept)  # those of one step start at about the same layer
        found = in_steps(
            lambda some, progress: edge_effects(pair, some, progress=progress),
            [kept[i] for i in order],
            EDGES,
            self.attempt,
            self._said("Patching every kept edge"),
        )
        effects = np.zeros(len(kept))
        effects[order] = found
        return effects

    def _said(self, text: str) -> Progress:
        return lambda done, total, _text: self.progress(done, total, text)


def _nodes(graph: EdgeGraph, kept: Sequence[int]) -> list[int]:
    """The nodes of a pruned circuit, in the order of the model: those that edges start from, and the logits."""
    return sorted({int(graph.source[edge]) for edge in kept} | ({len(graph.nodes) - 1} if len(kept) else set()))


def _numbered(one: object, places: Mapping[int, int], **more: int) -> object:
    return replace(one, removed=tuple(places[node] for node in one.removed), **more)


def _token(run: Run, token_id: int | None) -> Token | None:
    return None if token_id is None else Token(token_id, run.model.token(token_id))
