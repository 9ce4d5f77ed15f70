"""Small random models of every kind that is supported, with their parts named by hand, and oracles that use nothing of ours.

A `Subject` is a model attached to attnwidget beside an untouched `twin` of it: a copy, made before attaching, that computes
eager attention and is only ever run with hooks written here. Weights are drawn wide, and biases are not zero: at the usual
initialisation a head moves the logits by less than a wrong answer would.
"""

from __future__ import annotations

import atexit
import copy
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache

import torch
import transformers as tf
from tokenizers import Tokenizer, decoders, pre_tokenizers, processors, trainers
from tokenizers import models as tokenizer_models
from torch import Tensor, nn

from attnwidget import load_model
from attnwidget.model import Model

VOCAB, N_CTX, LAYERS, HEADS, WIDTH, D_HEAD = 330, 64, 3, 4, 32, 8
IDS = [37, 201, 44, 201, 118, 90, 37, 64, 155]
OTHER_IDS = [150, 21, 99, 308, 41, 41, 260, 70, 33]
WINDOW = 4  # of the models with sliding windows: shorter than the prompt, so that the window matters

_COMMON = {
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "hidden_size": WIDTH,
    "intermediate_size": 48,
    "vocab_size": VOCAB,
    "max_position_embeddings": N_CTX,
}
_GPT = {"n_layer": LAYERS, "n_head": HEADS, "n_embd": WIDTH, "vocab_size": VOCAB, "n_positions": N_CTX}
_DISTIL = {"n_layers": LAYERS, "n_heads": HEADS, "dim": WIDTH, "hidden_dim": 48, "vocab_size": VOCAB, "max_position_embeddings": N_CTX}
_OPT = {k: v for k, v in _COMMON.items() if k != "intermediate_size"} | {"ffn_dim": 48, "word_embed_proj_dim": WIDTH}
_GROUPED = _COMMON | {"num_key_value_heads": 2}


@dataclass(frozen=True)
class Spec:
    """How a test model is built, and where its parts are: found by reading each model's source, not through our anatomy."""

    name: str
    build: Callable[[], nn.Module]
    blocks: str
    projection: str
    """The out-projection in a block; the heads' outputs stand side by side in its input."""
    values: str
    fused: Callable[[Tensor], Tensor] | None = None
    """From the output of a fused projection to the values; None where the module gives the values alone."""
    causal: bool = True
    answer: str = "next"
    kv_heads: int = HEADS
    bridge: bool = True
    pattern_modes: bool = True
    """Whether patterns can be edited in the plain model."""
    rows_sum_to_one: bool = True
    n_ctx: int | None = N_CTX
    eager: Callable[[], nn.Module] | None = None
    """Builds the twin, where a model cannot be switched to eager attention after it is built."""


def _heads(fused: Tensor, parts: int) -> Tensor:
    return fused.reshape(*fused.shape[:2], HEADS, parts * D_HEAD)


def _last_third(fused: Tensor) -> Tensor:  # GPT-2: all queries, all keys, all values
    return fused[..., 2 * WIDTH :]


def _in_each_head(fused: Tensor) -> Tensor:  # GPT-NeoX, Bloom: query, key, value of each head in turn
    return _heads(fused, 3)[..., 2 * D_HEAD :].flatten(2)


def _one_group(fused: Tensor) -> Tensor:  # Falcon with multi-query attention: all queries, one key, one value
    return fused[..., -D_HEAD:]


_LLAMA = ("model.layers", "self_attn.o_proj", "self_attn.v_proj")
_BERT = ("attention.output.dense", "attention.self.value")
_DISTIL_PARTS = ("distilbert.transformer.layer", "attention.out_lin", "attention.v_lin")
_FUSED = ("self_attention.dense", "self_attention.query_key_value")
_ENCODER = {"causal": False, "answer": "mask"}

SPECS = {
    spec.name: spec
    for spec in (
        Spec("gpt2", lambda: tf.GPT2LMHeadModel(tf.GPT2Config(**_GPT)), "transformer.h", "attn.c_proj", "attn.c_attn", _last_third),
        Spec("llama", lambda: tf.LlamaForCausalLM(tf.LlamaConfig(**_GROUPED)), *_LLAMA, kv_heads=2),
        Spec("qwen2", lambda: tf.Qwen2ForCausalLM(tf.Qwen2Config(**_GROUPED)), *_LLAMA, kv_heads=2),
        Spec(
            "gemma2",
            lambda: tf.Gemma2ForCausalLM(
                tf.Gemma2Config(head_dim=D_HEAD, sliding_window=WINDOW, attn_logit_softcapping=2.0, final_logit_softcapping=3.0, **_GROUPED)
            ),
            *_LLAMA,
            kv_heads=2,
        ),
        Spec(
            "gptneox",
            lambda: tf.GPTNeoXForCausalLM(tf.GPTNeoXConfig(**_COMMON)),
            "gpt_neox.layers",
            "attention.dense",
            "attention.query_key_value",
            _in_each_head,
        ),
        Spec("bert", lambda: tf.BertForMaskedLM(tf.BertConfig(**_COMMON)), "bert.encoder.layer", *_BERT, **_ENCODER),
        Spec(
            "bert-classifier",
            lambda: tf.BertForSequenceClassification(tf.BertConfig(num_labels=3, **_COMMON)),
            "bert.encoder.layer",
            *_BERT,
            causal=False,
            answer="class",
            bridge=False,
        ),
        Spec(
            "bert-base", lambda: tf.BertModel(tf.BertConfig(**_COMMON)), "encoder.layer", *_BERT, causal=False, answer="none", bridge=False
        ),
        Spec("distilbert", lambda: tf.DistilBertForMaskedLM(tf.DistilBertConfig(**_DISTIL)), *_DISTIL_PARTS, bridge=False, **_ENCODER),
        Spec(
            "distilbert-classifier",
            lambda: tf.DistilBertForSequenceClassification(tf.DistilBertConfig(num_labels=3, **_DISTIL)),
            *_DISTIL_PARTS,
            causal=False,
            answer="class",
            bridge=False,
        ),
        Spec(
            "roberta",
            lambda: tf.RobertaForMaskedLM(tf.RobertaConfig(**_COMMON)),
            "roberta.encoder.layer",
            *_BERT,
            n_ctx=N_CTX - 2,  # positions are counted from padding_idx + 1 = 2
            **_ENCODER,
        ),
        Spec("opt", lambda: tf.OPTForCausalLM(tf.OPTConfig(**_OPT)), "model.decoder.layers", "self_attn.out_proj", "self_attn.v_proj"),
        Spec("gptj", lambda: tf.GPTJForCausalLM(tf.GPTJConfig(rotary_dim=4, **_GPT)), "transformer.h", "attn.out_proj", "attn.v_proj"),
        Spec(
            "gptneo",
            lambda: tf.GPTNeoForCausalLM(
                tf.GPTNeoConfig(
                    num_layers=LAYERS,
                    num_heads=HEADS,
                    hidden_size=WIDTH,
                    vocab_size=VOCAB,
                    max_position_embeddings=N_CTX,
                    window_size=WINDOW,
                    attention_types=[[["global", "local", "global"], 1]],
                )
            ),
            "transformer.h",
            "attn.attention.out_proj",
            "attn.attention.v_proj",
        ),
        Spec(
            "bloom",
            lambda: tf.BloomForCausalLM(tf.BloomConfig(n_layer=LAYERS, n_head=HEADS, hidden_size=WIDTH, vocab_size=VOCAB)),
            "transformer.h",
            *_FUSED,
            _in_each_head,
            pattern_modes=False,
            n_ctx=None,
        ),
        Spec(
            "falcon",
            lambda: tf.FalconForCausalLM(
                tf.FalconConfig(num_hidden_layers=LAYERS, num_attention_heads=HEADS, hidden_size=WIDTH, vocab_size=VOCAB)
            ),
            "transformer.h",
            *_FUSED,
            _one_group,
            kv_heads=1,
            pattern_modes=False,
            n_ctx=2048,
            eager=lambda: tf.FalconForCausalLM(
                tf.FalconConfig(
                    num_hidden_layers=LAYERS,
                    num_attention_heads=HEADS,
                    hidden_size=WIDTH,
                    vocab_size=VOCAB,
                    attn_implementation="eager",
                )
            ),
        ),
        Spec(
            "gptoss",
            lambda: tf.GptOssForCausalLM(tf.GptOssConfig(head_dim=D_HEAD, num_local_experts=4, sliding_window=WINDOW, **_GROUPED)),
            *_LLAMA,
            kv_heads=2,
            rows_sum_to_one=False,  # its sinks take a share
        ),
        Spec("mixtral", lambda: tf.MixtralForCausalLM(tf.MixtralConfig(num_local_experts=4, **_GROUPED)), *_LLAMA, kv_heads=2),
    )
}
PLAIN = [(name, "plain") for name in SPECS]
BRIDGES = [(name, "bridge") for name, spec in SPECS.items() if spec.bridge]
ALL = PLAIN + BRIDGES
PATTERN_MODES = [pair for pair in ALL if pair[1] == "bridge" or SPECS[pair[0]].pattern_modes]
FEW = [
    ("gpt2", "plain"),
    ("llama", "plain"),
    ("bert", "plain"),
    ("bloom", "plain"),
    ("gptj", "plain"),
    ("llama", "bridge"),
    ("opt", "bridge"),
]
"""One of each way the engine has: live patterns, grouped values, an encoder, no broadcasting, patterns through values."""


def name_of(pair: tuple[str, str]) -> str:
    return "-".join(pair)


def wide(model: nn.Module, seed: int = 0) -> nn.Module:
    """Draws every parameter so that each head, norm and bias matters."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(dict(model.named_parameters()).items()):
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.dim() > 1:
                parameter.copy_(0.25 * noise)
            elif name.endswith("weight"):
                parameter.copy_(1 + 0.2 * noise)
            else:
                parameter.copy_(0.3 * noise)
    return model.eval()


@dataclass(frozen=True)
class Subject:
    spec: Spec
    kind: str
    source: nn.Module
    """What was handed in."""
    model: Model
    twin: nn.Module
    tokenizer: object

    @property
    def exact(self) -> float:
        """How far we may be from the twin: nothing in a plain model; a bridge computes attention in its own order of sums,
        up to 2.3e-6 on logits of size 1 (GPT-2, Bloom, Falcon), and these are of size 6."""
        if self.kind == "bridge":
            return 2e-5
        # A plain Falcon has no eager attention to be compared with: ours is its own, which calls sdpa.
        return 1e-5 if self.spec.name == "falcon" else 0.0

    def block(self, layer: int) -> nn.Module:
        return self.twin.get_submodule(self.spec.blocks)[layer]

    def projection(self, layer: int) -> nn.Module:
        return self.block(layer).get_submodule(self.spec.projection)

    # -- oracles: the twin, with hooks written here -----------------------------------------------------------------

    def clean(self, ids: list[int] = IDS) -> Tensor:
        with torch.no_grad():
            output = self.twin(torch.tensor([ids]))
        logits = output.logits if hasattr(output, "logits") else output.last_hidden_state
        return logits[0] if logits.dim() == 3 else logits

    def z(self, layer: int, ids: list[int] = IDS) -> Tensor:
        """What enters the out-projection, [position, head, d_head]."""
        with ExitStack() as hooks:
            seen = self._saw_input(hooks, self.projection(layer))
            self.clean(ids)
        return seen[0][0].reshape(len(ids), HEADS, D_HEAD)

    def patterns(self, layer: int, ids: list[int] = IDS) -> Tensor:
        """[head, query, key], from the model's own report."""
        with torch.no_grad():
            return self.twin(torch.tensor([ids]), output_attentions=True).attentions[layer][0]

    def edited(self, edits: dict[int, Callable[[Tensor, Tensor], Tensor]], ids: list[int] = IDS) -> Tensor:
        """Logits with `z <- edits[layer](z, v)` in place, z [position, head, d_head] and v [position, kv_head, d_head]."""
        with ExitStack() as hooks:
            for layer, edit in edits.items():
                values = self._saw_output(hooks, self.block(layer).get_submodule(self.spec.values))

                def before(_module, args, edit=edit, values=values):
                    v = values[0] if self.spec.fused is None else self.spec.fused(values[0])
                    z = args[0][0].reshape(len(ids), HEADS, D_HEAD)
                    new = edit(z.clone(), v[0].reshape(len(ids), self.spec.kv_heads, D_HEAD))
                    return (new.reshape(args[0].shape), *args[1:])

                hooks.callback(self.projection(layer).register_forward_pre_hook(before).remove)
            return self.clean(ids)

    def zeroed(self, heads: list[tuple[int, int]], ids: list[int] = IDS) -> Tensor:
        """Logits with the slices of these heads set to zero in the out-projection's input."""
        with ExitStack() as hooks:
            for layer in {layer for layer, _ in heads}:
                columns = [h * D_HEAD + i for at, h in heads if at == layer for i in range(D_HEAD)]

                def before(_module, args, columns=columns):
                    flat = args[0].clone()
                    flat[..., columns] = 0
                    return (flat, *args[1:])

                hooks.callback(self.projection(layer).register_forward_pre_hook(before).remove)
            return self.clean(ids)

    def _saw_input(self, hooks: ExitStack, module: nn.Module) -> list[Tensor]:
        seen: list[Tensor] = []
        hooks.callback(module.register_forward_pre_hook(lambda _m, args: seen.append(args[0]) or None).remove)
        return seen

    def _saw_output(self, hooks: ExitStack, module: nn.Module) -> list[Tensor]:
        seen: list[Tensor] = []
        hooks.callback(module.register_forward_hook(lambda _m, _a, output: seen.append(output) or None).remove)
        return seen


def with_pattern(head: int, pattern: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    """`z_h = P v_h` for one head, its values found by the rule of grouped-query attention."""

    def edit(z: Tensor, v: Tensor) -> Tensor:
        group = head // (z.shape[1] // v.shape[1])
        z[:, head] = pattern @ v[:, group]
        return z

    return edit


@cache
def subject(name: str, kind: str = "plain") -> Subject:
    """Made once; a test that changes anything on it puts it back, or uses `fresh`."""
    return fresh(name, kind)


def fresh(name: str, kind: str = "plain") -> Subject:
    spec = SPECS[name]
    twin = wide(spec.build())
    source = copy.deepcopy(twin)
    if spec.eager is not None:
        twin = wide(spec.eager())
    elif name not in ("gptj", "gptneo", "bloom"):  # these have one attention only
        twin.set_attn_implementation("eager")
    words = tokenizer(encoder=not spec.causal)
    if kind == "bridge":
        source = bridged(source, words)
        model = load_model(source)
    else:
        model = load_model(source, tokenizer=words)
    return Subject(spec, kind, source, model, twin, words)


def bridged(model: nn.Module, words: object) -> nn.Module:
    from transformer_lens.model_bridge import TransformerBridge

    model.config.architectures = [type(model).__name__]
    return TransformerBridge.boot_transformers("tiny", hf_model=model, tokenizer=words, device="cpu")


# -- tokenizers -----------------------------------------------------------------------------------------------------

_TEXT = ["When Mary and John went to the store, John gave a drink to Mary.", "Alice and Bob went home.\nThe cat sat on the mat."] * 4


@cache
def tokenizer(*, adds_bos: bool = False, encoder: bool = False) -> tf.PreTrainedTokenizerFast:
    """A byte-level BPE of a few hundred tokens, with " Mary" among them; it adds BOS, or [CLS] and [SEP], if told so."""
    special = ["<bos>", "<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"]
    inner = Tokenizer(tokenizer_models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    inner.train_from_iterator(_TEXT, trainer)
    if encoder:
        inner.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 3), ("[SEP]", 4)])
        names = {"cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
    else:
        names = {"bos_token": "<bos>", "eos_token": "<bos>"}
    if adds_bos:
        inner.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 0)])
    words = tf.PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="<pad>", **names)
    # By way of a folder: TransformerLens makes its copy of a tokenizer by reading it again from where it came.
    folder = tempfile.mkdtemp(prefix="attnwidget-test-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    words.save_pretrained(folder)
    return tf.PreTrainedTokenizerFast.from_pretrained(folder)


# -- the state of a model -------------------------------------------------------------------------------------------


def state(module: nn.Module) -> dict[str, object]:
    """Everything that a pass might leave changed in `module`, in a form that can be compared."""
    modules = dict(module.named_modules())
    if isinstance(original := getattr(module, "original_model", None), nn.Module):
        modules |= {f"original.{name}": part for name, part in original.named_modules()}
    configs = {id(c): c for m in modules.values() if (c := getattr(m, "config", None)) is not None}
    return {
        "weights": {name: value.sum().item() for name, value in module.state_dict().items() if isinstance(value, Tensor)},
        "hooks": {
            name: [list(hooks) for hooks in (m._forward_hooks, m._forward_pre_hooks, m._backward_hooks, m._backward_pre_hooks)]
            for name, m in modules.items()
        },
        "forward": {name: m.__dict__.get("forward") for name, m in modules.items()},
        "training": {name: m.training for name, m in modules.items()},
        "gradients": {name: p.requires_grad for name, p in module.named_parameters()},
        "attention": [getattr(c, "_attn_implementation", None) for c in configs.values()],
        "grad": torch.is_grad_enabled(),
    }


@contextmanager
def unchanged(module: nn.Module) -> Iterator[None]:
    """Inside, whatever happens, `module` must end as it began."""
    before = state(module)
    yield
    after = state(module)
    for key, value in before.items():
        assert after[key] == value, f"{key} of the model was changed"


# -- the hand-built induction model ---------------------------------------------------------------------------------

IND_VOCAB, IND_CONTEXT, IND_GAIN = 16, 32, 10.0


@cache
def induction_model() -> nn.Module:
    """Attention only, no norm, two layers of three heads, each with one job that can be worked out on paper:

    L0H0 attends to the previous token and copies it; L0H1 attends to equal tokens and writes nothing; L0H2 is dead; L1H0
    attends to what followed an equal token and writes it (gain g); L1H1 does the same with gain -g/4; L1H2 attends to BOS,
    whose value is zero. The residual stream has four parts: token, position, previous token, output.
    """
    from transformer_lens.config import TransformerBridgeConfig
    from transformer_lens.model_bridge import TransformerBridge

    vocab, context, gain = IND_VOCAB, IND_CONTEXT, IND_GAIN
    width, d_head, heads = 3 * vocab + context, max(vocab, context), 3
    token, position = slice(0, vocab), slice(vocab, vocab + context)
    previous, output = slice(vocab + context, 2 * vocab + context), slice(2 * vocab + context, width)
    cfg = TransformerBridgeConfig(
        n_layers=2,
        n_heads=heads,
        d_head=d_head,
        d_model=width,
        n_ctx=context,
        d_vocab=vocab,
        attn_only=True,
        normalization_type=None,
        act_fn="relu",
        seed=0,
    )
    bridge = TransformerBridge.boot_native(cfg)
    weights = {"tok_embed.weight": (vocab, width), "pos.weight": (context, width), "head.weight": (vocab, width)}
    for layer in range(2):
        for part in "qkv":
            weights[f"layers.{layer}.attn.{part}.weight"] = (heads * d_head, width)
            weights[f"layers.{layer}.attn.{part}.bias"] = (heads * d_head,)
        weights[f"layers.{layer}.attn.o.weight"] = (width, heads * d_head)
        weights[f"layers.{layer}.attn.o.bias"] = (width,)
    weights = {name: torch.zeros(shape) for name, shape in weights.items()}

    def of(part: str, layer: int, head: int) -> Tensor:
        whole, at = weights[f"layers.{layer}.attn.{part}.weight"], slice(head * d_head, (head + 1) * d_head)
        return whole[:, at] if part == "o" else whole[at]

    eye, sharp, soft = torch.eye(vocab), 40.0 * d_head**0.5, 8.0 * d_head**0.5
    weights["tok_embed.weight"][:, token] = eye
    weights["pos.weight"][:, position] = torch.eye(context)
    weights["head.weight"][:, output] = eye
    of("q", 0, 0)[:context, position] = sharp * torch.eye(context)
    of("k", 0, 0)[1:context, position.start : position.stop - 1] = torch.eye(context - 1)
    of("v", 0, 0)[:vocab, token] = eye
    of("o", 0, 0)[previous, :vocab] = eye
    of("q", 0, 1)[:vocab, token] = soft * eye
    of("k", 0, 1)[:vocab, token] = eye
    for head, strength in ((0, gain), (1, -gain / 4)):
        of("q", 1, head)[:vocab, token] = soft * eye
        of("k", 1, head)[:vocab, previous] = eye
        of("v", 1, head)[:vocab, token] = eye
        of("o", 1, head)[output, :vocab] = strength * eye
    of("q", 1, 2)[0, token] = sharp
    of("k", 1, 2)[0, token.start] = 1
    of("v", 1, 2)[:vocab, token] = eye
    of("v", 1, 2)[0, token.start] = 0
    of("o", 1, 2)[output, :vocab] = gain * eye
    bridge.load_state_dict(weights, strict=False)
    return bridge.eval()


def induction_prompt() -> list[int]:
    """BOS (token 0), eight different tokens, the same eight again."""
    once = torch.randperm(IND_VOCAB - 1, generator=torch.Generator().manual_seed(0))[:8] + 1
    return [0, *once.tolist(), *once.tolist()]
