"""Heads and MLPs with an input stream each: what they read and write beside the untouched model, and how a wrong place is found out."""

from __future__ import annotations

import copy
from contextlib import ExitStack

import pytest
import torch

from attnwidget import ModelError, load_model
from attnwidget.engine import Edit
from attnwidget.engine.components import components, trace
from attnwidget.engine.wavefront import Entering, wavefront
from attnwidget.engine.writes import Stream, block_addends

from ..models import ALL, D_HEAD, HEADS, IDS, LAYERS, OTHER_IDS, fresh, induction_model, induction_prompt, name_of, subject, unchanged
from ..models import SPECS as specs
from .test_wavefront import CLOSE, LAST, far, front, zeroed

REFUSED = {(name, "plain") for name in ("gptj", "gptneo", "bloom", "falcon")}
REFUSED |= {(name, kind) for name in specs if name.startswith(("bert", "distilbert", "roberta", "gemma2")) for kind in ("plain", "bridge")}
APART = [pair for pair in ALL if pair not in REFUSED]
apart = pytest.mark.parametrize("pair", APART, ids=name_of)
PARALLEL = ("gptneox", "gptj", "falcon")
MLPS = {"gpt2": "mlp", "llama": "mlp", "qwen2": "mlp", "gptneox": "mlp", "opt": "fc2", "gptj": "mlp", "gptneo": "mlp", "bloom": "mlp",
        "falcon": "mlp", "gptoss": "mlp", "mixtral": "mlp"}  # fmt: skip


def parts_of(pair, ids=IDS):
    engine = subject(*pair).model.engine
    return components(engine, engine.record(torch.tensor([ids])))


def said_by_mlp(s, layer, ids):
    """[position, d_model]: what the MLP of the untouched model returns; Bloom adds the stream inside, Falcon adds to it afterwards."""
    out, given = [], []

    def keep(_module, args, output):
        given.append(args)
        out.append(copy.deepcopy(output))

    with ExitStack() as hooks:
        hooks.callback(s.block(layer).get_submodule(MLPS[s.spec.name]).register_forward_hook(keep).remove)
        s.clean(ids)
    said = out[0][0] if isinstance(out[0], tuple) else out[0]
    said = said - given[0][1] if s.spec.name == "bloom" else said
    return said.reshape(len(ids), -1)


@apart
def test_what_is_read_and_written_in_a_run(pair):
    s = subject(*pair)
    with unchanged(s.source):
        parts = parts_of(pair)
        found = trace(parts)
    assert parts.parallel == (pair[0] in PARALLEL)
    for layer in range(LAYERS):
        assert far(found.z[layer][0], s.z(layer)) <= 2e-5
        assert far(found.mlp[layer][0], said_by_mlp(s, layer, IDS)) <= 2e-5
        with parts.passing():
            heads = parts.heads(layer, found.z[layer])[0]
            together = found.resid[layer] + parts.said(layer, found.z[layer]) + found.mlp[layer]
        weight = s.projection(layer).weight
        weight = weight if pair[0] == "gpt2" else weight.T
        assert far(heads, torch.einsum("phi,hid->phd", s.z(layer), weight.reshape(HEADS, D_HEAD, -1))) <= 2e-5
        assert far(together, found.resid[layer + 1]) <= 2e-5
        mid = found.resid[layer] if parts.parallel else found.resid[layer] + parts.said(layer, found.z[layer])
        assert far(found.mid[layer], mid) <= 1e-6


@apart
def test_each_component_of_another_prompt_s_streams(pair):
    """Given what it read on another prompt, it writes what it wrote there, beside rows that are given something else."""
    s, parts = subject(*pair), parts_of(pair)
    other = trace(parts_of(pair, OTHER_IDS))
    mine = trace(parts)
    with unchanged(s.source), parts.passing():
        for layer in range(LAYERS):
            streams = torch.cat([mine.resid[layer], other.resid[layer]])
            q, k, v = parts.inputs(layer, streams)
            for states, name in ((q, "q"), (k, "k"), (v, "v")):
                assert far(states, torch.cat([getattr(of, name)[layer] for of in (mine, other)])) <= 2e-5
            z = parts.attention(layer, q, k, v)
            assert far(z[0], s.z(layer)) <= 2e-5 and far(z[1], s.z(layer, OTHER_IDS)) <= 2e-5
            mlp = parts.mlp(layer, torch.cat([other.mid[layer], mine.mid[layer]]))
            assert far(mlp[0], said_by_mlp(s, layer, OTHER_IDS)) <= 4e-5 and far(mlp[1], said_by_mlp(s, layer, IDS)) <= 4e-5
            assert far(parts.after(layer, streams, z), torch.cat([mine.resid[layer + 1], other.resid[layer + 1]])) <= 4e-5


@apart
def test_one_head_s_inputs_are_its_own(pair):
    """Queries of one head, and keys or values of one group, from another prompt: no other head is moved."""
    parts = parts_of(pair)
    mine, other = trace(parts), trace(parts_of(pair, OTHER_IDS))
    layer, per = 1, HEADS // specs[pair[0]].kv_heads
    with parts.passing():
        for site in ("q", "k", "v"):
            states = {name: getattr(mine, name)[layer].clone() for name in ("q", "k", "v")}
            group = specs[pair[0]].kv_heads - 1
            at, readers = (slice(2, 3), [2]) if site == "q" else (parts.group_columns(group, states[site]), [*range(HEADS)[group * per :]])
            states[site][:, :, at] = getattr(other, site)[layer][:, :, at]
            z = parts.attention(layer, states["q"], states["k"], states["v"])[0]
            kept = [h for h in range(HEADS) if h not in readers]
            assert far(z[:, readers], mine.z[layer][0][:, readers]) > 1e-3
            assert not kept or far(z[:, kept], mine.z[layer][0][:, kept]) <= 1e-6


def test_attention_only():
    engine = load_model(induction_model()).engine
    parts = components(engine, engine.record(torch.tensor([induction_prompt()])))
    found = trace(parts)
    assert [layer.mlp for layer in parts.layers] == [None, None] and found.mid == found.mlp == []


@pytest.mark.parametrize("pair", sorted(REFUSED & set(ALL)), ids=name_of)
def test_models_that_cannot_be_taken_apart(pair):
    if subject(*pair).model.answer == "none":
        pytest.skip("it answers nothing")
    with pytest.raises(ModelError, match="norm stands in its way|hand it in as a TransformerBridge"):
        parts_of(pair)


# -- values can be edited -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pair", APART, ids=name_of)
def test_edits_of_values(pair):
    """Values of one group doubled double the z of its heads, and of no other."""
    engine = subject(*pair).model.engine
    recording, parts = engine.record(torch.tensor([IDS])), parts_of(pair)
    clean = trace(parts).z[1][0]
    per = HEADS // specs[pair[0]].kv_heads

    def double(v):
        new = v.clone()
        new[:, :, parts.group_columns(0, v)] *= 2
        return new

    passed = engine.resume(recording, [Edit(1, "v", double)], start=1, stop=2, capture=[("z", 1)])
    expected = clean.clone()
    expected[:, :per] *= 2
    assert far(passed.captured["z", 1][0], expected) <= 2e-6


class Elsewhere:
    """A tap that takes one head for another, in what is read and in what is put in its place."""

    def __init__(self, tap):
        self.tap = tap

    def attach(self, hook):
        def flipped(states):
            new = hook(states.flip(2))
            return None if new is None else new.flip(2)

        return self.tap.attach(flipped)


class ReadOnly:
    """A tap whose edits are lost."""

    def __init__(self, tap):
        self.tap = tap

    def attach(self, hook):
        def deaf(states):
            hook(states)

        return self.tap.attach(deaf)


@pytest.mark.parametrize("pair", [("llama", "plain"), ("gpt2", "bridge")], ids=name_of)
@pytest.mark.parametrize("kind", [Elsewhere, ReadOnly, "other layers"])
def test_values_that_lead_elsewhere_are_found_out(pair, kind):
    engine = fresh(*pair).model.engine
    taps = engine.anatomy.taps["v"]
    engine.anatomy.taps["v"] = taps[1:] + taps[:1] if isinstance(kind, str) else [kind(tap) for tap in taps]
    with pytest.raises(ModelError, match="layer 0 of this model cannot be given for one head alone"):
        components(engine, engine.record(torch.tensor([IDS])))


def test_no_values_to_be_had():
    engine = fresh("llama").model.engine
    engine.anatomy.taps["v"] = []
    with pytest.raises((ModelError, IndexError), match="cannot be given for one head alone"):
        components(engine, engine.record(torch.tensor([IDS])))


def test_found_out_once_for_each_state_of_the_weights():
    s = fresh("llama")
    engine, calls = s.model.engine, []
    recording = engine.record(torch.tensor([IDS]))
    components(engine, recording)
    handle = s.source.model.layers[0].register_forward_hook(lambda *_: calls.append(1))
    components(engine, recording)
    components(engine, engine.record(torch.tensor([OTHER_IDS])))
    assert len(calls) == 1, "the recording alone"
    with torch.no_grad():
        s.source.model.layers[1].self_attn.o_proj.weight *= 2
    with pytest.raises(ModelError, match="weights have changed"):
        components(engine, recording)
    again = components(engine, engine.record(torch.tensor([IDS])))
    handle.remove()
    assert far(again.layers[1].weight, s.source.model.layers[1].self_attn.o_proj.weight.T.reshape(HEADS, D_HEAD, -1)) <= 1e-6


def test_no_engine_is_kept_alive():
    import gc
    import weakref

    engine = fresh("gpt2").model.engine
    components(engine, engine.record(torch.tensor([IDS])))
    gone = weakref.ref(engine)
    del engine
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(dtype):
    s = fresh("llama")
    model = load_model(copy.deepcopy(s.source).to(dtype), tokenizer=s.tokenizer)
    parts = components(model.engine, model.engine.record(torch.tensor([IDS])))
    found = trace(parts)
    assert parts.layers[0].weight.dtype == dtype and found.mlp[0].dtype == torch.float32
    with parts.passing():
        assert far(parts.mlp(1, found.mid[1]), found.mlp[1]) <= 0.05 * found.mlp[1].abs().max()


# -- how a block writes, and streams of their own in a wavefront ----------------------------------------------------


def test_addends_of_a_block():
    engine = subject("gpt2").model.engine
    recording = engine.record(torch.tensor([IDS]))
    found = block_addends(Stream(engine, recording, recording.resid), 1)
    projection = subject("gpt2").projection(1)
    assert far(found.weight, projection.weight.reshape(HEADS, D_HEAD, -1).double()) == 0 and found.factor == 1
    assert far(found.bias, projection.bias.double()) == 0 and found.mlp is engine.anatomy.blocks[1].mlp
    engine = subject("bert").model.engine
    recording = engine.record(torch.tensor([IDS]))
    assert block_addends(Stream(engine, recording, recording.resid), 0) is None


@pytest.mark.parametrize("pair", [("gpt2", "plain"), ("bert", "plain"), ("bloom", "plain"), ("llama", "bridge")], ids=name_of)
@pytest.mark.parametrize("positions", [[LAST], None])
def test_streams_that_enter_a_layer_beside_rows_with_edits(pair, positions):
    s = subject(*pair)
    engine = s.model.engine
    recording, other = engine.record(torch.tensor([IDS])), engine.record(torch.tensor([OTHER_IDS]))
    entering = [Entering(layer, other.resid[layer]) for layer in (2, 0, LAYERS, 1, 3)]
    mixed = [entering[0], zeroed([(1, 2)]), *entering[1:4], zeroed([]), zeroed([(2, 0)]), entering[4]]
    with unchanged(s.source):
        rows = front(engine, recording, mixed, positions)
    for variant, row in zip(mixed, rows, strict=True):
        if isinstance(variant, Entering):
            end = variant.resid
            if variant.layer < LAYERS:
                end = engine.resume(recording, start=variant.layer, resid=variant.resid).resid[-1]
        else:
            end = engine.resume(recording, variant, start=min((e.layer for e in variant), default=0)).resid[-1]
        assert far(row, engine.logits(recording, end, positions)[0]) <= CLOSE
    expected = s.clean(OTHER_IDS)
    assert all(far(rows[i], expected[positions] if positions else expected) <= CLOSE + s.exact for i in (0, 2, 3, 4, 7))


def test_streams_in_a_model_that_does_not_resume():
    s = fresh("gpt2")
    engine = s.model.engine
    recording, other = engine.record(torch.tensor([IDS])), engine.record(torch.tensor([OTHER_IDS]))
    engine.resumes = False
    variants = [Entering(1, other.resid[1]), Entering(LAYERS, other.resid[-1]), zeroed([(1, 1)])]
    rows = [logits[0] for _, logits in wavefront(engine, recording, variants, [LAST])]
    assert far(rows[0], s.clean(OTHER_IDS)[[LAST]]) <= CLOSE and far(rows[1], s.clean(OTHER_IDS)[[LAST]]) <= CLOSE
    assert far(rows[2], s.zeroed([(1, 1)])[[LAST]]) <= CLOSE
