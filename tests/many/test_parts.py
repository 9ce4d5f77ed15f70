"""A checkpoint folder gives back what was computed, to the bit, and nothing that was computed otherwise."""

import copy
import json
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from attnwidget import AttnWidgetError, ModelError, detect_dataset, load_model, score_dataset, study_dataset
from attnwidget.many.fingerprint import fingerprint
from attnwidget.many.parts import Parts
from attnwidget.many.spec import spec_of

from ..models import IDS, OTHER_IDS, fresh, subject

PROMPTS = [IDS, OTHER_IDS, IDS[:4]]


def found_before(call):
    """How many of the prompts were not computed again, and the result."""
    told = []
    found = call(progress=lambda *step: told.append(step[2]))
    return next((int(part.split()[0]) for part in told[-1].split(", ") if part.endswith("done before")), 0), found


def scores(folder, model=None, prompts=PROMPTS, **asked):
    return found_before(
        lambda progress: score_dataset(model or subject("llama").model, prompts, checkpoint=folder, progress=progress, **asked)
    )


def test_what_was_computed_is_read_and_what_is_new_is_computed(tmp_path):
    before, found = scores(tmp_path, prompts=PROMPTS[:2], mode="previous")
    assert before == 0 and len(list(tmp_path.iterdir())) == 2
    before, again = scores(tmp_path, mode="previous")
    assert before == 2 and len(list(tmp_path.iterdir())) == 3, "nothing else is left in the folder"
    np.testing.assert_array_equal(again.samples[:2], found.samples)
    assert np.isnan(again.samples[:, 0]).all(), "undefined stays undefined"
    plain = score_dataset(subject("llama").model, PROMPTS, mode="previous")
    np.testing.assert_array_equal(again.samples, plain.samples)
    assert again.per_prompt().equals(plain.per_prompt()) and again.describe() == plain.describe()


def test_a_part_is_a_table_that_others_can_read(tmp_path):
    import pandas as pd

    _, found = scores(tmp_path, prompts=PROMPTS[:1])
    (part,) = tmp_path.iterdir()
    frame = pd.read_parquet(part)
    assert list(frame.columns) == ["layer", "head", "values"]
    np.testing.assert_array_equal(frame["values"].to_numpy().reshape(3, 4), found.samples[0])
    facts = json.loads(pq.read_schema(part).metadata[b"attnwidget"])["facts"]
    assert facts["tokens"] == len(IDS) and facts["metric"] == "kl"


def test_kinds_and_studies_are_kept_too(tmp_path):
    model = subject("llama").model
    for ask in (
        lambda **more: detect_dataset(model, PROMPTS, ["induction", "entropy"], checkpoint=tmp_path, **more),
        lambda **more: study_dataset(model, PROMPTS, random=2, budget=20, max_heads=2, checkpoint=tmp_path, **more),
    ):
        before, first = found_before(lambda progress, ask=ask: ask(progress=progress))
        again, second = found_before(lambda progress, ask=ask: ask(progress=progress))
        assert (before, again) == (0, 3)
        assert first.to_frame().equals(second.to_frame()) and first.per_prompt().equals(second.per_prompt())
        assert repr(first) == repr(second)


@pytest.mark.parametrize(
    "other",
    [
        {"metric": "entropy"},
        {"method": "attribution"},
        {"mode": "mean"},
        {"mode": "scale", "scale": 0.5},
        {"position": 2},
        {"positions": [1]},
        {"mode": "mean", "reference": [OTHER_IDS]},
        {"heads": ["L0H0"]},
        {"chunk": 2},
        {"threads": 3},
        {"prepend_bos": True},
    ],
)
def test_another_question_never_finds_it(tmp_path, other):
    scores(tmp_path)
    assert scores(tmp_path, **other)[0] == 0
    assert scores(tmp_path)[0] == 3, "and the first is still there"


def test_other_weights_never_find_it_and_equal_ones_do(tmp_path):
    scores(tmp_path)
    same = fresh("llama")
    assert scores(tmp_path, same.model)[0] == 3, "another object with the same weights"
    with torch.no_grad():
        list(same.source.parameters())[-1].view(-1)[0].nextafter_(torch.tensor(9.0))
    assert scores(tmp_path, same.model)[0] == 0, "one weight, one bit"
    assert scores(tmp_path, load_model(copy.deepcopy(subject("llama").twin).to(torch.bfloat16)))[0] == 0


def test_what_else_decides_the_last_bits_is_told_apart(tmp_path, monkeypatch):
    scores(tmp_path)
    monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda: "medium")
    assert scores(tmp_path)[0] == 0
    monkeypatch.undo()
    s = fresh("llama")
    block = s.source.model.layers[0]
    block.active_adapter, block.disable_adapters = ["a"], False  # as PEFT's layers have them
    one = fingerprint(spec_of(s.model))
    block.active_adapter = ["b"]
    assert (two := fingerprint(spec_of(s.model))) != one
    block.disable_adapters = True
    assert fingerprint(spec_of(s.model)) not in (one, two)


def test_how_a_tokenizer_padded_last_is_nothing_to_it(tmp_path):
    s = fresh("bert")
    before = fingerprint(spec_of(s.model))
    s.tokenizer(["When Mary and John went", "The cat"], padding=True, truncation=True, max_length=4)
    assert "padding" in s.tokenizer.backend_tokenizer.to_str()
    assert fingerprint(spec_of(s.model)) == before


def test_a_model_that_others_run_is_let_go_of_here(tmp_path):
    from attnwidget.many import forget_model, spec

    subject("llama").twin.save_pretrained(tmp_path)
    (tmp_path / "adapter_config.json").write_text("{}")  # so that it has to be loaded
    here = fingerprint(spec_of(tmp_path))
    assert spec._kept is not None
    forget_model()
    assert fingerprint(spec_of(tmp_path, device="meta"), elsewhere=True) == here and spec._kept is None


def test_other_versions_never_find_it(tmp_path, monkeypatch):
    from attnwidget.many import parts

    scores(tmp_path)
    monkeypatch.setattr(parts, "_versions", lambda: ["another"])
    assert scores(tmp_path)[0] == 0


@pytest.mark.parametrize("damage", ["cut", "empty", "exchanged", "foreign", "changed"])
def test_a_damaged_part_is_computed_anew(tmp_path, damage):
    _, found = scores(tmp_path)
    one, other, _ = sorted(tmp_path.iterdir())
    whole = one.read_bytes()
    if damage == "cut":
        one.write_bytes(whole[: len(whole) // 2])
    elif damage == "empty":
        one.write_bytes(b"")
    elif damage == "exchanged":
        os.replace(other, one)
        other.write_bytes(whole)
    elif damage == "foreign":
        one.write_text("PAR1 is not enough")
    else:
        table = pq.read_table(one)
        values = table["values"].to_numpy().copy()
        values[3] += 1e-9
        pq.write_table(table.set_column(2, "values", [values]), one)
    before, again = scores(tmp_path)
    assert before == (1 if damage == "exchanged" else 2)
    np.testing.assert_array_equal(again.samples, found.samples)
    assert scores(tmp_path)[0] == 3, "and is mended"


def test_no_flipped_byte_gives_other_numbers(tmp_path):
    """Whichever byte is wrong, the part is the answer or none."""
    scores(tmp_path, prompts=PROMPTS[:1])
    (path,) = tmp_path.iterdir()
    whole, parts = path.read_bytes(), Parts(tmp_path, "")
    right = parts.read(path.stem)
    refused = 0
    for at in range(0, len(whole), 7):
        path.write_bytes(bytes([*whole[:at], whole[at] ^ 0x55, *whole[at + 1 :]]))
        found = parts.read(path.stem)
        refused += found is None
        assert found is None or (found.facts == right.facts and (found.arrays["values"] == right.arrays["values"]).all())
    assert refused > 100


def test_what_failed_is_tried_again(tmp_path):
    before, found = scores(tmp_path, prompts=[IDS, [3] * 100])
    assert len(found.failures) == 1 and len(list(tmp_path.iterdir())) == 1
    before, found = scores(tmp_path, prompts=[IDS, [3] * 100])
    assert before == 1 and len(found.failures) == 1


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(AttnWidgetError, match="checkpoint must be a folder that can be written"):
        scores(tmp_path / "file")


def test_two_that_write_one_part_do_not_meet(tmp_path):
    """Two processes with one number on two machines, or two threads."""
    scores(tmp_path / "one", prompts=PROMPTS[:1])
    (part,) = (tmp_path / "one").iterdir()
    answer = Parts(tmp_path / "one", "").read(part.stem)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: Parts(tmp_path / "two", "").write(part.stem, answer), range(40)))
    assert [one.name for one in (tmp_path / "two").iterdir()] == [part.name], "nothing half-written is left"


def test_an_interrupted_write_leaves_nothing(tmp_path, monkeypatch):
    scores(tmp_path, prompts=PROMPTS[:1])
    (part,) = tmp_path.iterdir()
    parts = Parts(tmp_path, "")
    answer = parts.read(part.stem)

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        parts.write(part.stem, answer)
    assert list(tmp_path.iterdir()) == [part]


def test_files_of_a_folder_are_told_apart_by_what_is_in_them(tmp_path):
    s = subject("llama")
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        s.twin.save_pretrained(folder)
    (second / "optimizer.pt").write_bytes(b"decides nothing")
    one = fingerprint(spec_of(first))
    assert fingerprint(spec_of(str(second))) == one
    weights = second / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert fingerprint(spec_of(second)) != one


def test_a_folder_that_was_written_to_is_loaded_anew(tmp_path):
    """What a process keeps of a model by name goes when its files change."""
    from attnwidget.many import forget_model

    s = fresh("bert-classifier")
    s.twin.save_pretrained(tmp_path / "model")
    first = score_dataset(tmp_path / "model", PROMPTS)
    np.testing.assert_array_equal(first.samples, score_dataset(s.model, PROMPTS).samples)
    with torch.no_grad():
        for parameter in s.twin.parameters():
            parameter.mul_(1.1)
    s.twin.save_pretrained(tmp_path / "model")
    second = score_dataset(tmp_path / "model", PROMPTS)
    forget_model()
    np.testing.assert_array_equal(second.samples, score_dataset(load_model(copy.deepcopy(s.twin)), PROMPTS).samples)
    assert (first.samples != second.samples).any()


def test_files_that_change_on_the_way_are_refused(tmp_path):
    """Otherwise half of the prompts would be about another model, under the first one's name."""
    s = fresh("llama")
    s.twin.save_pretrained(tmp_path / "model")

    def train(done, total, text):
        with torch.no_grad():
            next(s.twin.parameters()).add_(0.1)
        s.twin.save_pretrained(tmp_path / "model")

    with pytest.raises(ModelError, match="files have changed while its prompts were run"):
        score_dataset(tmp_path / "model", PROMPTS, checkpoint=tmp_path / "parts", progress=train)
    assert len(list((tmp_path / "parts").iterdir())) == 1, "what the new weights gave is not kept"
