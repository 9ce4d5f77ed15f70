"""A small Llama with grouped keys and a word tokenizer: fast enough that every request can be made for real."""

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from attnwidget import Model, load_model

WORDS = ["<unk>", "<s>", "the", "cat", "dog", "sat", "on", "mat", "zebra", "fish", "a"]


def small_model(n_ctx: int = 64, layers: int = 4, heads: int = 4, width: int = 32) -> Model:
    """`layers` x `heads`, 2 key-value heads, a context of `n_ctx`, random weights large enough that every head acts."""
    torch.manual_seed(0)
    config = LlamaConfig(
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=2,
        hidden_size=width,
        intermediate_size=48,
        vocab_size=len(WORDS),
        max_position_embeddings=n_ctx,
        initializer_range=0.3,
    )
    tokens = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    tokens.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=tokens, unk_token="<unk>", bos_token="<s>")
    return load_model(LlamaForCausalLM(config).eval(), tokenizer=tokenizer)
