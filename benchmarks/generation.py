"""Tokens per second of ablated generation, against `transformers` with no hook: `python -m benchmarks.generation`.

    python -m benchmarks.generation [--device cuda] [--tokens 40] [--rounds 5]

SmolLM2-135M goes on from 14 tokens, first choice, with three heads' z set to zero at every step. In each round every way takes its turn,
so that what else the machine does hits all alike; ratios are taken within a round.

- transformers: the model's own `generate`, with its own key-value cache and attention, no hook, and nothing read but the tokens;
- ours, one side: the ablated text alone, as `generate` makes it, with probabilities and alternatives of every token;
- ours, both sides: all of `generate(...)`, control and ablated and what compares them, over the tokens of both texts;
- ours without a cache: the ablated text alone, by whole passes.

End-of-text tokens are switched off in all of them, so that each text is as long as it was asked for.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from time import perf_counter

import torch

from attnwidget import generate, load_model
from attnwidget.analysis.generate import end_ids
from attnwidget.analysis.sampling import Sampling
from attnwidget.analysis.streams import Stream
from attnwidget.run import Run

from .figures import Figure, figure, table
from .machine import describe

PROMPT = "When Mary and John went to the store, John gave a drink to"
HEADS = ["L23H3", "L1H5", "L1H7"]
TARGET = 0.7  # of the tokens per second of transformers


def generation(device: str = "cpu", tokens: int = 40, rounds: int = 5) -> list[Figure]:
    model = load_model("smollm2-135m", device=device)
    run = model.run(PROMPT).ablate(HEADS)
    ids = torch.tensor([run.ids], device=model.device)
    source = model.source

    def transformers() -> int:
        return source.generate(ids, max_new_tokens=tokens, do_sample=False, eos_token_id=None, pad_token_id=0).shape[1] - ids.shape[1]

    def both() -> int:
        result = generate(run, tokens)
        return len(result.control.steps) + len(result.ablated.steps)

    ways: dict[str, Callable[[], int]] = {
        "transformers": transformers,
        "ours, one side": lambda: _one_side(run, tokens, cache=True),
        "ours, both sides": both,
        "ours, no cache": lambda: _one_side(run, tokens, cache=False),
    }
    ends, source.generation_config.eos_token_id = source.generation_config.eos_token_id, None
    own, model.vocabulary.tokenizer.eos_token = model.vocabulary.tokenizer.eos_token, None
    try:
        assert not end_ids(model)
        speeds = _alternating(ways, rounds)
    finally:
        source.generation_config.eos_token_id, model.vocabulary.tokenizer.eos_token = ends, own
    reference = speeds["transformers"]
    figures = [figure(f"{way}, {tokens} tokens", "tokens/s", found) for way, found in speeds.items()]
    for way in list(speeds)[1:]:
        ratios = [a / b for a, b in zip(speeds[way], reference, strict=True)]
        target = "" if way == "ours, no cache" else f" (target: {TARGET} or more)"
        figures.append(figure(f"{way} / transformers{target}", "", ratios))
    return figures


def _one_side(run: Run, tokens: int, cache: bool) -> int:
    stream = Stream(run, Sampling(), tokens, frozenset(), cache)
    while stream.ended is None:
        stream.advance(0.0)
    return len(stream.steps)


def _alternating(ways: dict[str, Callable[[], int]], rounds: int) -> dict[str, list[float]]:
    speeds: dict[str, list[float]] = {way: [] for way in ways}
    for i in range(rounds + 1):  # the first warms up
        for way, go in ways.items():
            start = perf_counter()
            made = go()
            if i:
                speeds[way].append(made / (perf_counter() - start))
    return speeds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--tokens", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print("\n".join(f"{key:12} {value}" for key, value in describe().items()), flush=True)
    print("\n" + table(generation(options.device, options.tokens, options.rounds)))


if __name__ == "__main__":
    main()
