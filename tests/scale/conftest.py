"""Models that are deep, or take long prompts, and are narrow, so that they are quick."""

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from attnwidget import Model, load_model
from tests.small import WORDS, small_model


def narrow(layers: int, heads: int, n_ctx: int, kv_heads: int = 1, d_head: int = 4) -> Model:
    """A Llama with random weights and the words of `tests/small.py`."""
    torch.manual_seed(0)
    config = LlamaConfig(
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        head_dim=d_head,
        hidden_size=heads * max(1, 16 // heads),
        intermediate_size=16,
        vocab_size=len(WORDS),
        max_position_embeddings=n_ctx,
        initializer_range=0.3,
    )
    return load_model(LlamaForCausalLM(config).eval(), tokenizer=small_model().vocabulary.tokenizer)


def words(tokens: int) -> str:
    """A text of so many tokens, without BOS."""
    generator = torch.Generator().manual_seed(1)
    return " ".join(WORDS[2 + int(torch.randint(len(WORDS) - 2, (1,), generator=generator))] for _ in range(tokens))
