"""Edges and circuits beside what people use for them now: `python -m benchmarks circuits`.

On GPT-2 small's shape with random weights, each way in its turn in one process, so that what else the machine does hits all alike:

- attribution of all 32,491 edges: ours, and TransformerLens's `attribution_patch` (granularity "edge"), which has EAP alone (its
  `ig_steps > 1` is not implemented) and refuses grouped-query attention, so that SmolLM2 is ours alone;
- 100 edges patched, measured: ours, and one full forward of the bridge for each edge with a hook on the input that it changes;
- one circuit of half of all edges, drawn at random: ours, and the one forward with hooks of TransformerLens's own `faithfulness`, without
  the checks, the runs of both prompts and the forwards for each class of edges that it does besides (`_ablate_edges`); a circuit of the
  top 200 edges: ours.

What the ways say is compared before they are timed. The forward that things are counted in is that of the plain model, 14 tokens.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import perf_counter

import numpy as np
import torch

from attnwidget import load_model
from attnwidget.analysis.edgeattribution import edge_attribution
from attnwidget.analysis.edgegraph import EdgeGraph
from attnwidget.analysis.patching import Pair, circuit_effects, edge_effects, make_pair

from .clock import seconds
from .figures import Figure, figure
from .sweep import gpt2

PROMPT = "When Mary and John went to the store, John gave a drink to"
OTHER = "When Mary and John went to the store, Mary gave a drink to"
TOKENS = 14
EDGES, CIRCUIT = 100, 200
ROUNDS = 3


def circuits(device: str = "cpu") -> list[Figure]:
    logging.getLogger("transformer_lens").setLevel(logging.ERROR)
    return [*_gpt2(device), *_smollm2(device)]


def _smollm2(device: str) -> list[Figure]:
    model = load_model("smollm2-135m", device=device)
    start = perf_counter()
    pair = make_pair(model.run(PROMPT), model.run(OTHER))
    proof = perf_counter() - start
    batch = torch.tensor([pair.clean.ids], device=model.device)
    ways, _ = _ours(pair, lambda: model.source(batch, use_cache=False))
    figures = _timed(f"SmolLM2-135M, {len(pair.graph):,} edges", ways, model.device)
    return [figure("SmolLM2-135M: two runs, and the proof that it can be taken apart, once", "s", [proof]), *figures]


def _gpt2(device: str) -> list[Figure]:
    subject = gpt2(device)
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, subject.model.source.config.vocab_size, (TOKENS,), generator=generator).tolist()
    others = [*ids[:5], *torch.randint(0, 1000, (3,), generator=generator).tolist(), *ids[8:]]
    pair = make_pair(subject.model.run(ids), subject.model.run(others))
    batch = torch.tensor([ids], device=subject.model.device)
    ways, chosen = _ours(pair, lambda: subject.model.source(batch, use_cache=False))
    theirs = _TransformerLens(subject.bridge, pair)
    circuit = theirs.positions(np.flatnonzero(_half(pair)))
    _agree(pair, theirs, chosen, circuit)
    ways |= {
        "EAP, TransformerLens's attribution_patch": lambda: theirs.attribution(pair.clean.ids, pair.counterfactual.ids),
        f"{EDGES} edges, one hooked forward each": lambda: theirs.patched(chosen[:EDGES]),
        "a circuit of half of all edges, TransformerLens's hooks": lambda: theirs.circuit(circuit),
    }
    return _timed(f"GPT-2 small, random, {len(pair.graph):,} edges", ways, subject.model.device)


def _ours(pair: Pair, forward: Callable[[], object]) -> tuple[dict[str, Callable[[], object]], np.ndarray]:
    scores = edge_attribution(pair)
    chosen = np.argsort(-np.abs(scores))
    mask = np.zeros(len(pair.graph), bool)
    mask[chosen[:CIRCUIT]] = True
    half = _half(pair)
    ways = {
        "one plain forward": torch.no_grad()(forward),
        "EAP": lambda: edge_attribution(pair, "eap"),
        "EAP-IG, 5 steps": lambda: edge_attribution(pair),
        f"{EDGES} edges patched, the top ones of EAP-IG": lambda: edge_effects(pair, chosen[:EDGES]),
        "a circuit of half of all edges": lambda: circuit_effects(pair, [half]),
        "10 circuits of half of all edges, each": lambda: circuit_effects(pair, [half] * 10),
    }
    if kept := pair.graph.prune(mask).sum():
        ways[f"a circuit of {CIRCUIT} edges, {kept} of which lead somewhere"] = lambda: circuit_effects(pair, [mask])
    return ways, chosen


def _half(pair: Pair) -> np.ndarray:
    return np.random.default_rng(0).random(len(pair.graph)) < 0.5


def _timed(name: str, ways: dict[str, Callable[[], object]], device: torch.device) -> list[Figure]:
    times: dict[str, list[float]] = {way: [] for way in ways}
    for round_ in range(ROUNDS + 1):
        for way, work in ways.items():
            taken = seconds(work, device) / (10 if way.startswith("10 circuits") else 1)
            if round_:  # the first is not counted
                times[way].append(taken)
    forward = times["one plain forward"]
    figures = [figure(f"{name}: {way}", "s", taken) for way, taken in times.items()]
    for way, taken in list(times.items())[1:]:
        figures.append(figure(f"{name}: {way}, in forwards", "", [a / b for a, b in zip(taken, forward, strict=True)]))
    return figures


# -- TransformerLens --------------------------------------------------------------------------------------------------


class _TransformerLens:
    """The same questions through TransformerLens's hooks."""

    def __init__(self, bridge: torch.nn.Module, pair: Pair):
        from transformer_lens.tools.analysis import attribution_patching as tools

        self.bridge, self.tools, self.graph, self.measure = bridge, tools, pair.graph, pair.measure
        self.device = pair.clean.model.device
        self.clean, self.other = (torch.tensor([run.ids], device=self.device) for run in (pair.clean, pair.counterfactual))
        with torch.no_grad(), tools._edge_hook_flags(bridge):
            self.written = tools.capture_writer_outputs(bridge, self.clean)
            self.replaced = tools.capture_writer_outputs(bridge, self.other)
            cache = tools.cache_activation_and_gradient(
                bridge, self.other, self.metric, names_filter=tools._edge_hook_names(bridge.cfg.n_layers), compute_gradient=False
            )
            self.edges = tools.enumerate_edges(bridge, cache)
        self.ends = [(_name(source), _name(to)) for source, to in self.edges]

    def metric(self, logits: torch.Tensor) -> torch.Tensor:
        return logits[0, self.measure.position, self.measure.target] - logits[0, self.measure.position, self.measure.against]

    def attribution(self, clean: tuple[int, ...], corrupt: tuple[int, ...]) -> dict:
        config = self.tools.EdgeAttributionConfig(granularity="edge")
        batches = (torch.tensor([ids], device=self.device) for ids in (clean, corrupt))
        return self.tools.attribution_patch(self.bridge, *batches, self.metric, config).edge_scores

    @torch.no_grad()
    def patched(self, edges: np.ndarray) -> list[float]:
        """The drop of the metric for each edge, by a hook on the input that reads it."""
        found, clean = [], self.metric(self.bridge(self.clean)).item()
        with self.tools._edge_hook_flags(self.bridge):
            for edge in edges:
                source, to = self.graph.nodes[self.graph.source[edge]], self.graph.destinations[self.graph.destination[edge]]
                at = {"embed": "hook_embed", "mlp": f"blocks.{source.layer}.hook_mlp_out"}
                name = at.get(source.kind, f"blocks.{source.layer}.attn.hook_result")
                change = self.replaced[name] - self.written[name]
                change = change if source.head is None else change[:, :, source.head]
                hook = f"blocks.{to.layer}.attn.hook_{to.input}_input"
                if to.input == "mlp":
                    hook = f"blocks.{to.layer}.hook_mlp_in"
                elif to.input == "logits":
                    hook = f"blocks.{to.layer - 1}.hook_resid_post"
                head = to.readers[0].head if to.readers else None

                def add(value: torch.Tensor, hook: object, change: torch.Tensor = change, head: int | None = head) -> torch.Tensor:
                    if head is None:
                        return value + change
                    new = value.clone()
                    new[:, :, head] += change
                    return new

                found.append(clean - self.metric(self.bridge.run_with_hooks(self.clean, fwd_hooks=[(hook, add)])).item())
        return found

    def positions(self, edges: np.ndarray) -> list[tuple]:
        """Its edges, one for each position, of some of ours."""
        kept = {_ends(self.graph, edge) for edge in edges}
        return [edge for edge, ends in zip(self.edges, self.ends, strict=True) if ends in kept]

    @torch.no_grad()
    def circuit(self, circuit: list[tuple]) -> float:
        with self.tools._edge_hook_flags(self.bridge):
            return self.metric(self.tools._ablate_edges(self.bridge, self.clean, self.edges, circuit, self.replaced)).item()


def _agree(pair: Pair, theirs: _TransformerLens, chosen: np.ndarray, circuit: list[tuple]) -> None:
    """Times of different answers would mean nothing."""
    mine, other = edge_effects(pair, chosen[:EDGES]), np.array(theirs.patched(chosen[:EDGES]))
    clean = theirs.metric(pair.clean.logits[None]).item()
    alone, their_alone = circuit_effects(pair, [_half(pair)])[0], clean - theirs.circuit(circuit)
    swapped = make_pair(pair.counterfactual, pair.clean, target=pair.measure.target, against=pair.measure.against)
    scores, summed = edge_attribution(swapped, "eap"), np.zeros(len(pair.graph))
    index = {_ends(pair.graph, edge): edge for edge in range(len(pair.graph))}
    for (source, to), score in theirs.attribution(pair.clean.ids, pair.counterfactual.ids).items():
        summed[index[_name(source), _name(to)]] -= score
    for what, one, two in (("edges", mine, other), ("circuits", alone, their_alone), ("EAP", scores, summed)):
        off, size = np.abs(one - two).max(), np.abs(two).max()
        print(f"GPT-2 small: {what} differ by at most {off:.1e}, of {size:.3g}")
        if off > 1e-3 * size + 1e-4:
            raise SystemExit(f"{what} are not the same by TransformerLens, so there is nothing to time")


def _ends(graph: EdgeGraph, edge: int) -> tuple[str, str]:
    return graph.nodes[graph.source[edge]].name, graph.destinations[graph.destination[edge]].name


def _name(node: object) -> str:
    if node.kind in ("embed", "logits"):
        return node.kind
    if node.kind.startswith("mlp"):
        return f"MLP {node.layer}"
    head = f"L{node.layer}H{node.head}"
    return head if node.kind == "attn_head_out" else f"{head}.{node.kind[0]}"
