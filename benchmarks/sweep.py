"""Every head's exact ablation, four ways side by side, and the estimates that stand in for it: `python -m benchmarks.sweep`.

    python -m benchmarks.sweep [--device cuda] [--models smollm2 gpt2] [--tokens 14 40 256] [--rounds 5]

In each round every way takes its turn, so that what else the machine does hits all alike; ratios are taken within a round.

- the loop: one forward with a hook for each head, through TransformerLens's `run_with_hooks`, as most notebooks do it;
- patching: `patching.get_act_patch_attn_head_out_all_pos`, TransformerLens's own loop. Both loops are timed on a few heads, spread over
  the layers (how many is in the table), and multiplied up: each forward costs the same, whichever head it is for;
- ours: `score(run, "ablation")`, all heads, on the plain model; at the shortest prompt also on the loops' own bridge;
- the FLOPs: for each head, the blocks from its own up; of the last block all up to z, and the rest of it at the one position; the
  logits of that position. Two for each weight and token, and 4 T² d_head for each head's scores and sums. The time they take is that of
  bare matrix products of just these shapes, at the chunks' own number of tokens, with the model's own weights;
- the model's own blocks, called on as many rows with no hook in them: what the rest of a block (norms, activation functions, softmax)
  adds to its products is the model's code, and not ours to change. The last one is counted by its share of the FLOPs.

KL of the last position is read in all of them. Peak memory is what the sweep takes beyond what was there before it.
"""

from __future__ import annotations

import argparse
import copy
import gc
import importlib
import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from datetime import datetime, timezone
from io import StringIO
from pathlib import Path

import pandas as pd
import torch
import transformers
from torch import Tensor, nn

from attnwidget import Model, load_model, metrics, score
from attnwidget.heads import Head
from attnwidget.run import Run

from .clock import seconds
from .figures import Figure, figure, table
from .machine import describe
from .memory import peak

LENGTHS = (14, 40, 256)
ROUNDS = {14: 5, 40: 3, 256: 2}
SAMPLE = 10  # heads that a loop is timed on


@dataclass(frozen=True)
class Subject:
    name: str
    model: Model
    blocks: list[nn.Module]
    bridge: nn.Module

    @property
    def heads(self) -> list[Head]:
        return [Head(layer, head) for layer in range(self.model.n_layers) for head in range(self.model.n_heads)]


def smollm2(device: str) -> Subject:
    model = load_model("smollm2-135m", device=device)
    return Subject("SmolLM2-135M", model, list(model.source.model.layers), _bridge(model.source, model.vocabulary.tokenizer, device))


def gpt2(device: str) -> Subject:
    """GPT-2 small's shape with random weights: 12 layers of 12 heads, 124M parameters."""
    from tests.models import tokenizer

    torch.manual_seed(0)
    source = transformers.GPT2LMHeadModel(transformers.GPT2Config()).eval().to(device)
    return Subject("GPT-2 small", load_model(source), list(source.transformer.h), _bridge(source, tokenizer(), device))


MODELS: dict[str, Callable[[str], Subject]] = {"smollm2": smollm2, "gpt2": gpt2}


def _bridge(source: nn.Module, tokenizer: object, device: str) -> nn.Module:
    from transformer_lens.model_bridge import TransformerBridge

    source = copy.deepcopy(source)  # a bridge rebuilds what it is given
    source.config.architectures = [type(source).__name__]
    return TransformerBridge.boot_transformers("benchmark", hf_model=source, tokenizer=tokenizer, device=device)


def sweep(
    device: str | None = None, models: Sequence[str] = tuple(MODELS), lengths: Sequence[int] = LENGTHS, rounds: int | None = None
) -> list[Figure]:
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    logging.getLogger("transformer_lens").setLevel(logging.ERROR)
    figures: list[Figure] = []
    for name in models:
        subject = MODELS[name](device)
        for length in lengths:
            found = _at(subject, length, rounds or ROUNDS.get(length, 3), on_bridge=length == min(lengths))
            print(table(found), flush=True)
            figures += found
        del subject
        gc.collect()
    return figures


@torch.no_grad()
def _at(subject: Subject, length: int, rounds: int, on_bridge: bool) -> list[Figure]:
    model, heads = subject.model, subject.heads
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, subject.model.source.config.vocab_size, (length,), generator=generator).tolist()
    run = model.run(ids)
    sample = [heads[round(i * (len(heads) - 1) / (SAMPLE - 1))] for i in range(SAMPLE)]
    batch = torch.tensor([ids], device=model.device)
    most = peak(model.device, lambda: score(run, "ablation"))
    clean = subject.bridge(batch)[0, -1]  # not a part of what is multiplied up
    ways: dict[str, Callable[[], object]] = {
        "forward": lambda: model.source(batch, use_cache=False),
        "loop": lambda: _loop(subject.bridge, batch, sample, clean),
        "patching": lambda: _patching(subject.bridge, batch, sample, clean),
        "logit_diff": lambda: score(run, "attribution", metric="logit_diff"),
        "kl": lambda: score(run, "attribution", metric="kl", top_tokens=8),
    }
    if on_bridge:
        of_bridge = load_model(subject.bridge).run(ids)
        ways["ours, bridge"] = lambda: score(of_bridge, "ablation")
    ways["ours"] = lambda: score(run, "ablation")  # last, next to the products that it is compared with
    times: dict[str, list[float]] = {name: [] for name in (*ways, "flops", "blocks")}
    for name in ("forward", "loop", "patching", "logit_diff", "kl"):
        ways[name]()  # warm
    for _ in range(rounds):
        for name, way in ways.items():
            # A forward is so short that one of many is the plain truth about it.
            n = 9 if name == "forward" else 1
            times[name].append(sorted(seconds(way, model.device) for _ in range(n))[n // 2])
        products = _Products(subject, run)
        times["flops"].append(products.seconds())
        times["blocks"].append(products.in_blocks())
    return _figures(f"{subject.name}, {length} tokens: ", subject, run, times, most)


def _figures(where: str, subject: Subject, run: Run, times: dict[str, list[float]], most: float | None) -> list[Figure]:
    n, device = len(subject.heads), subject.model.device.type
    scale = n / SAMPLE
    loop, patching = ([scale * t for t in times[name]] for name in ("loop", "patching"))

    def ratio(a: list[float], b: list[float]) -> list[float]:
        return [x / y for x, y in zip(a, b, strict=True)]

    products = _Products(subject, run)
    forwards = 2 if device == "cuda" and len(run.ids) == 40 and "135M" in subject.name else None
    found = [
        figure(where + "one plain forward", "s", times["forward"]),
        figure(where + f"loop over {n} heads, from {SAMPLE} of them", "s", loop),
        figure(where + f"TransformerLens patching, {n} heads, from {SAMPLE} of them", "s", patching),
        figure(where + f"ours, {n} heads", "s", times["ours"]),
        figure(where + f"the products it needs, {products.flops / 1e9:,.0f} GFLOP", "s", times["flops"]),
        figure(where + "ours / loop", "", ratio(times["ours"], loop), 1 / 5),
        figure(where + "the products / loop: the least that ours can be", "", ratio(times["flops"], loop)),
        figure(where + "ours / patching", "", ratio(times["ours"], patching)),
        figure(where + "ours / products", "", ratio(times["ours"], times["flops"]), 1.15),
        figure(where + "ours / the model's own blocks", "", ratio(times["ours"], times["blocks"])),
        figure(where + "ours, in plain forwards", "", ratio(times["ours"], times["forward"]), forwards),
    ]
    if "ours, bridge" in times:
        found.append(figure(where + "ours on the bridge / loop", "", ratio(times["ours, bridge"], loop), 1 / 5))
    if most is not None:
        found.append(figure(where + "ours, peak memory", "MB", [most]))
    for name, budget in (("logit_diff", 3), ("kl", 10)):
        found.append(figure(where + f"attribution of {name}, in plain forwards", "", ratio(times[name], times["forward"]), budget))
    return found


# -- the two loops ----------------------------------------------------------------------------------------------------


def _loop(bridge: nn.Module, batch: Tensor, heads: Sequence[Head], clean: Tensor) -> list[float]:
    def off(head: int) -> Callable:
        def hook(z: Tensor, hook: object) -> Tensor:
            z = z.clone()
            z[:, :, head] = 0
            return z

        return hook

    return [
        metrics.kl(clean, bridge.run_with_hooks(batch, fwd_hooks=[(f"blocks.{head.layer}.attn.hook_z", off(head.head))])[0, -1])
        for head in heads
    ]


def _patching(bridge: nn.Module, batch: Tensor, heads: Sequence[Head], clean: Tensor) -> Tensor:
    from transformer_lens import patching

    cfg = bridge.cfg
    zeros = torch.zeros(1, batch.shape[1], cfg.n_heads, cfg.d_head, device=batch.device)
    cache = {f"blocks.{layer}.attn.hook_z": zeros for layer in range(cfg.n_layers)}
    frame = pd.DataFrame([(head.layer, head.head) for head in heads], columns=["layer", "head"])
    with redirect_stderr(StringIO()):  # its progress bar
        return patching.get_act_patch_attn_head_out_all_pos(
            bridge,
            batch,
            cache,
            lambda logits: torch.tensor(metrics.kl(clean, logits[0, -1])),
            index_axis_names=None,
            index_df=frame,
        )


# -- the FLOPs that are needed, and the time they take -----------------------------------------------------------------


class _Products:
    """The matrix products of a sweep, by shape: how many FLOPs in all, and how fast such products are here and now."""

    def __init__(self, subject: Subject, run: Run):
        self.model, self.tokens, self.run = subject.model, len(run.ids), run
        wavefront = importlib.import_module("attnwidget.engine.wavefront")
        limits = wavefront._limits(self.model.engine, run._recording, [self.tokens - 1], None, None)
        self.rows = min(limits.together, len(subject.heads))
        # In the order of a block: those up to z, the out-projection, the MLP. Conv1D keeps its weight the other way round.
        self.weights = [[w for module in block.modules() if (w := _weight(module)) is not None] for block in subject.blocks]
        self.before_z = 3 if "Llama" in type(self.model.source).__name__ else 1
        self.unembed = self.model.source.get_output_embeddings().weight
        n_layers = self.model.n_layers
        self.through = sum(n_layers - head.layer - 1 for head in subject.heads)
        """Blocks that are run whole, over all rows."""
        self.into_last = len(subject.heads)

    @property
    def flops(self) -> float:
        return sum(count * work for count, work, _ in self._parts())

    def seconds(self) -> float:
        return sum(count * work / speed() for count, work, speed in self._parts())

    def in_blocks(self) -> float:
        """Seconds, where the blocks are run and not only their products."""
        engine, recording = self.model.engine, self.run._recording
        rows = recording.resid[0].expand(self.rows, -1, -1).clone()

        def blocks() -> None:
            with engine._pass():
                for layer in range(self.model.n_layers):
                    engine._block(layer, rows, recording.calls[layer])

        whole, head, (count, work, speed) = self._parts()
        one = min(seconds(blocks, self.model.device) for _ in range(2)) / (self.rows * self.model.n_layers)
        return one * (whole[0] + head[0] * head[1] / whole[1]) + count * work / speed()

    def _parts(self) -> list[tuple[float, float, Callable[[], float]]]:
        """(how many rows, FLOPs of one, FLOPs a second) of: whole blocks, the last block up to z, the rest of it and the logits."""
        tokens, attends = self.tokens, 4 * self.model.n_heads * self.model.d_head * self.tokens**2
        first = [of[: self.before_z] for of in self.weights]
        rest = [of[self.before_z :] for of in self.weights]
        whole, head, tail = (sum(w.numel() for w in of[-1]) for of in (self.weights, first, rest))
        one = 2 * (tail + self.unembed.numel())
        return [
            (self.through, 2 * tokens * whole + attends, lambda: self._speed(self.weights, tokens, attends)),
            (self.into_last, 2 * tokens * head + attends, lambda: self._speed(first, tokens, attends)),
            (self.into_last, one, lambda: self._speed([[*rest[-1], self.unembed]], 1, 0)),
        ]

    def _speed(self, layers: list[list[Tensor]], tokens: int, attends: int) -> float:
        """In one chunk's rows, through all layers: each with its own weights, as they come from memory in a sweep."""
        rows, device = self.rows, self.model.device
        inputs = {w.shape[1]: torch.randn(rows * tokens, w.shape[1], device=device) for of in layers for w in of}
        states = torch.randn(rows, self.model.n_heads, tokens, self.model.d_head, device=device)

        def products() -> None:
            for of in layers:
                for weight in of:
                    inputs[weight.shape[1]] @ weight.T
                if attends:
                    (states @ states.transpose(-1, -2)) @ states

        work = sum(2 * rows * tokens * w.numel() for of in layers for w in of) + rows * attends * len(layers)
        return work / min(seconds(products, device) for _ in range(2))


def _weight(module: nn.Module) -> Tensor | None:
    """[out, in]"""
    weight = getattr(module, "weight", None)
    if weight is None or weight.dim() != 2:
        return None
    return weight if isinstance(module, nn.Linear) else weight.T


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sweep", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", default=None)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--tokens", nargs="+", type=int, default=list(LENGTHS))
    parser.add_argument("--rounds", type=int, default=None)
    chosen = parser.parse_args(arguments)
    machine = describe()
    print("\n".join(f"{key:12} {value}" for key, value in machine.items()) + "\n", flush=True)
    figures = sweep(chosen.device, chosen.models, chosen.tokens, chosen.rounds)
    when = datetime.now(timezone.utc).isoformat(timespec="seconds")
    file = Path(__file__).parent / "results" / f"sweep-{chosen.device or ('cuda' if torch.cuda.is_available() else 'cpu')}.json"
    file.parent.mkdir(exist_ok=True)
    body = {"when": when, "machine": machine, "load after": os.getloadavg(), "figures": [figure.__dict__ for figure in figures]}
    file.write_text(json.dumps(body, indent=2) + "\n", encoding="utf-8")
    print(f"\nwritten to {file}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
