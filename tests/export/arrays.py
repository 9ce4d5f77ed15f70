"""Reads back what a page of arrays carries, by the description in its header and nothing of the code that wrote it."""

import numpy as np

from attnwidget.export.container import container, opened


def recorded(page):
    """The header and the buffers as a reader of the file gets them."""
    return opened(container(page.header, page.buffers))


def array(stub, buffers):
    return np.frombuffer(buffers[stub["$buffer"]], dtype=stub["dtype"]).reshape(stub["shape"])


def part(page, index=0):
    """One part of a page of kind "arrays", its values as [head, query, key]."""
    header, buffers = recorded(page)
    assert header["kind"] == "arrays"
    found = header["arrays"]["parts"][index]
    stored = array(found["values"], buffers)
    if found["code"] == "unit":
        stored = stored / 255
    elif found["code"] == "signed":
        stored = np.where(stored == 255, np.nan, (stored.astype(int) - 127) * found["values"]["scale"])
    return {**found, "values": stored}


def softmax(scores):
    power = np.exp(scores - scores.max(-1, keepdims=True))
    return power / power.sum(-1, keepdims=True)


def patterns(*shape, seed=0, causal=False):
    """Random rows that sum to 1."""
    scores = 2 * np.random.default_rng(seed).normal(size=shape)
    if causal:
        scores = scores + np.triu(np.full(shape[-2:], -np.inf), 1)
    return softmax(scores)
