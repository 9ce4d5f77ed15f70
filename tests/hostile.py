"""Texts that would be markup, code or confusion where they are not shown as text, and a model whose every token is one of them."""

from __future__ import annotations

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertForSequenceClassification, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from attnwidget import load_model
from attnwidget.model import Model

NAME = '<img src=x onerror="window.__pwned=1">"\'`{{7*7}}</title></script>'
"""A model's name: no slash but in what closes an element, since a name is what follows the last one of a path."""

TEXTS = [
    "</script><script>window.__pwned=1</script>",
    "<img src=x onerror=window.__pwned=1>",
    '"><svg onload=window.__pwned=1>',
    "' onmouseover='window.__pwned=1",
    '" autofocus onfocus="window.__pwned=1',
    "</td></tr></table><iframe src=javascript:window.__pwned=1></iframe>",
    "</style><base href=http://example.invalid/><link rel=stylesheet href=http://example.invalid/x.css>",
    "</noscript></title></textarea><pwned-element>",
    "<!--",
    "-->",
    "]]>",
    "<![CDATA[<pwned-element>]]>",
    "&lt;pwned-element&gt;",
    "&#60;pwned-element&#62;",
    "{{constructor.constructor('window.__pwned=1')()}}",
    "${window.__pwned=1}",
    "`window.__pwned=1`",
    "[x](javascript:window.__pwned=1)",
    "**bold** _it_ $\\href{javascript:1}{x}$ <b>",
    "%s %(x)s {0} {x} {",
    "=cmd|' /C calc'!A0",
    "\x00",
    "\x1b[31mred\x1b[0m\x07",
    "\u202eevil\u202c",
    "\u2066\u2069\u200b\u200d\ufeff",
    "😀",
    "👩\u200d👩\u200d👧",
    "e\u0301\u0301\u0301\u0301",
    "\\u003cscript\\u003e",
    "line\nbreak\r\ttab\u2028",
    "<" * 40,
    "<i>" * 3334,
]
"""The last has 10,002 characters."""


def _vocabulary() -> PreTrainedTokenizerFast:
    words = {"<unk>": 0, **{text: i + 1 for i, text in enumerate(TEXTS)}}
    inner = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>")


def hostile_model() -> Model:
    """3 layers × 4 heads; token i + 1 is `TEXTS[i]`, and the name is `NAME`."""
    torch.manual_seed(0)
    config = LlamaConfig(
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        hidden_size=32,
        intermediate_size=48,
        vocab_size=len(TEXTS) + 1,
        max_position_embeddings=64,
        initializer_range=0.4,
    )
    model = load_model(LlamaForCausalLM(config).eval(), tokenizer=_vocabulary())
    model.name = NAME
    return model


def hostile_classifier() -> Model:
    """Its classes are called by half a character and by what would be markup."""
    torch.manual_seed(0)
    labels = dict(enumerate(["<pwned-element>\ud800", TEXTS[0], TEXTS[1]]))
    sizes = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 48}
    config = BertConfig(vocab_size=len(TEXTS) + 1, **sizes, num_labels=3, id2label=labels, initializer_range=0.4)
    return load_model(BertForSequenceClassification(config).eval(), tokenizer=_vocabulary())
