"""A head from the inside in half and double precision: the numbers of float32, to what the precision keeps."""

import numpy as np
import pytest
import torch

from attnwidget import attention_sources, composition, load_model, ov, qk, qk_circuit, value_weighted

from ..models import IDS, SPECS, tokenizer, wide


def numbers(name, dtype):
    model = load_model(wide(SPECS[name].build()).to(dtype), tokenizer=tokenizer())
    run = model.run(IDS)
    scores, sources = qk(run, "L1H1"), attention_sources(run, "L2H1", 6, 3)
    found = {
        "scores": scores.scores,
        **scores.parts,
        "lengths": value_weighted(run, "L1H2").values,
        "table": sources.table.sum(1),
        "qk": qk_circuit(model, "L1H1", tokens=IDS).block,
        "ov": ov(model, "L1H1", IDS).block,
        "copying": np.array([ov(model, "L1H1").copying]),
        "k-composition": np.nan_to_num(composition(model).k),
    }
    assert scores.dtype == str(dtype).removeprefix("torch.") and sources.table.dtype == np.float64
    return found


@pytest.mark.parametrize("name", ["gpt2", "llama", "qwen2", "gptneox"])
@pytest.mark.parametrize(("dtype", "close"), [(torch.bfloat16, 0.06), (torch.float16, 0.004), (torch.float64, 1e-5)])
def test_precision(name, dtype, close):
    expected, found = numbers(name, torch.float32), numbers(name, dtype)
    for what, values in expected.items():
        assert np.abs(found[what] - values).max() <= close * max(1, np.abs(values).max()), what
        assert np.abs(values).max() > 0.02 or what.endswith(("bias", "biases")), what
