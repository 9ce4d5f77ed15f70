"""Views of attention from plain arrays, without a model: one line for what CircuitsVis or BertViz would show.

Arrays are numpy's, PyTorch's, JAX's, or nested lists. Each function returns a `Page`: it shows itself in a notebook's cell, and
`page.save(path)` writes it as one HTML file.
"""

from .crossed import cross_attention
from .like_bertviz import head_view, model_view
from .like_circuitsvis import attention_heads, attention_layers, attention_pattern, attention_patterns
from .patches import attention_patches

__all__ = [
    "attention_heads",
    "attention_layers",
    "attention_patches",
    "attention_pattern",
    "attention_patterns",
    "cross_attention",
    "head_view",
    "model_view",
]
