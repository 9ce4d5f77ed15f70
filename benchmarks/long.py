"""Long prompts and many heads, as the kernel answers a page: `python -m benchmarks long`.

SmolLM2-135M (270 heads) at 1,024 and 2,048 tokens, GPT-2 small's shape (144) at 512, and a narrow random model of 80 layers of 64 heads at
14. For each, the requests that a page makes when it opens and when a head is clicked: seconds, beside one plain forward of the same prompt;
what the process took beyond what it held before, at its peak; bytes of the answer.

All patterns of SmolLM2 would be 1.1 GB at 1,024 tokens, 4.5 GB at 2,048.
"""

from __future__ import annotations

import gc
import re
from collections.abc import Callable
from dataclasses import dataclass

import torch
import transformers

from attnwidget import AttentionWidget, Model, load_model, score
from attnwidget.widget.asking import CLEAN
from attnwidget.widget.jobs import Job
from attnwidget.widget.ops import OPS
from attnwidget.widget.wire import pack

from .clock import seconds
from .figures import Figure, figure
from .memory import peak

MB = 1e6
WORDS = re.findall(" [a-z]+", " the cat saw dog and man ran to his house in town by day or night for food")
ABOUT = {"position": -1, "target": "", "against": ""}


@dataclass(frozen=True)
class Case:
    name: str
    make: Callable[[str], Model]
    tokens: int


def _gpt2(device: str) -> Model:
    torch.manual_seed(0)
    return load_model(transformers.GPT2LMHeadModel(transformers.GPT2Config()).eval().to(device))


def _deep(device: str) -> Model:
    torch.manual_seed(0)
    shape = {"num_hidden_layers": 80, "num_attention_heads": 64, "num_key_value_heads": 8, "head_dim": 4, "hidden_size": 64}
    config = transformers.LlamaConfig(**shape, intermediate_size=128, vocab_size=1000, max_position_embeddings=4096, initializer_range=0.1)
    return load_model(transformers.LlamaForCausalLM(config).eval().to(device))


def _smollm2(device: str) -> Model:
    return load_model("smollm2-135m", device=device)


CASES = (
    Case("80 × 64 heads", _deep, 14),
    Case("GPT-2 small's shape", _gpt2, 512),
    Case("SmolLM2-135M", _smollm2, 1024),
    Case("SmolLM2-135M", _smollm2, 2048),
)


def long(device: str = "cpu") -> list[Figure]:
    found: list[Figure] = []
    for case in CASES:
        found += _one(case, device)
        gc.collect()
    return found


def _one(case: Case, device: str) -> list[Figure]:
    model = case.make(device)
    widget = AttentionWidget(model, _prompt(model, case.tokens))
    batch = torch.tensor([widget.run.ids], device=model.device)
    middle = [model.n_layers // 2, 1]
    off = {**CLEAN, "heads": [middle]}
    asked: dict[str, tuple[str, dict]] = {
        "the answer": ("outcome", {"ablation": CLEAN, **ABOUT}),
        "every thumbnail": ("thumbnails", {}),
        "one head's map": ("patterns", {"ablation": CLEAN, "heads": [middle]}),
        "a click: the answer with a head of the middle layer off": ("outcome", {"ablation": off, **ABOUT}),
        "its map of a higher layer": ("patterns", {"ablation": off, "heads": [[model.n_layers - 1, 0]]}),
    }
    where = f"{case.name}, {case.tokens:,} tokens: "
    with torch.no_grad():
        forward = min(seconds(lambda: model.source(batch, use_cache=False), model.device) for _ in range(2))
    figures = [figure(where + "one plain forward", "s", [forward])]
    for name, (op, args) in asked.items():
        answers: list[list[bytes]] = []
        took: list[float] = []

        def work(op: str = op, args: dict = args, answers: list = answers, took: list = took) -> None:
            took.append(seconds(lambda: answers.append(_answered(widget, op, args)), model.device))

        most = peak(model.device, work)
        figures.append(figure(where + name, "s", took))
        if most is not None:
            figures.append(figure(where + name + ", peak memory", "MB", [most]))
        if sent := sum(map(len, answers[0])):
            figures.append(figure(where + name + ", sent", "MB", [sent / MB]))
    took = []
    run = widget.run.clean
    most = peak(model.device, lambda: took.append(seconds(lambda: score(run, "attribution", metric="logit_diff"), model.device)))
    figures.append(figure(where + "estimate of every head, logit difference", "s", took))
    if most is not None:
        figures.append(figure(where + "estimate of every head, peak memory", "MB", [most]))
    widget.close()
    return figures


def _prompt(model: Model, tokens: int) -> str | list[int]:
    """Words of one token each, in no order, or ids where there is no tokenizer."""
    drawn = torch.randint(5, 900, (tokens,), generator=torch.Generator().manual_seed(1)).tolist()
    return drawn if model.vocabulary.tokenizer is None else "".join(WORDS[i % len(WORDS)] for i in drawn)


def _answered(widget: AttentionWidget, op: str, args: dict) -> list[bytes]:
    job = Job("benchmark", None, op, lambda job: None, lambda result: None, lambda error: None)
    return pack(OPS[op].answer(widget._session, {"run_key": widget.run_key, **args}, job))[1]
