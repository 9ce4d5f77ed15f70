"""Which of a kernel's loops handles a page's message. In a real JupyterLab: `tests/browser/test_widget.py`, clicks while a cell runs."""

import importlib.metadata

import comm
import pytest

from attnwidget import AttentionWidget
from tests.small import small_model

from .front import PROMPT


@pytest.fixture
def in_kernel(monkeypatch):
    """Comms are what a kernel makes them."""
    from ipykernel.comm.comm import BaseComm

    monkeypatch.setattr(comm, "create_comm", BaseComm)
    return BaseComm


def test_a_message_goes_where_the_page_addressed_it(in_kernel):
    widget = AttentionWidget(small_model(), PROMPT)
    opened = widget.comm
    assert isinstance(opened, in_kernel)
    if not hasattr(in_kernel, "_reply_subshell_for"):
        version = importlib.metadata.version("ipykernel")
        assert not hasattr(opened, "_reply_subshell_for"), f"ipykernel {version} routes nothing, so there is nothing to undo"
        return
    # as after an answer sent from a subshell that has since gone with its page
    opened._reply_subshell_id = "gone"
    opened._reply_subshell_ids["page-1"] = "gone"
    request = {"method": "custom", "content": {"id": "page-1", "op": "cancel"}}
    assert in_kernel._reply_subshell_for(opened, {"method": "update"}, "page") == "gone", "what the kernel does by itself"
    assert opened._reply_subshell_for(request, "page") == "page"
    assert opened._reply_subshell_for({"method": "update"}, None) is None
    assert opened._reply_subshell_ids == {}, "one for each answer would be kept for good"
    widget.close()
