"""A page's message is handled in the loop that the page addressed it to, whatever was sent on the comm before.

ipykernel 7.4 passes a comm's messages to the loop of the request under which the kernel last sent something on that comm, in place of the
one in their own header. Our worker's replies count as sent by the main loop: the next click would then wait for the cell that runs there,
though the page had addressed it to a subshell. After the page was reloaded the loop can be a subshell that is gone, and every message,
and with it every answer, would be lost.
"""

from __future__ import annotations


def as_addressed(comm: object) -> None:
    """Makes `comm` leave its messages with the loop in their header. Kernels that do so by themselves are left as they are."""
    if not hasattr(comm, "_reply_subshell_for"):
        return
    # What it would remember for each of our replies, for good.
    remembered = getattr(comm, "_reply_subshell_ids", {})

    def addressed(_data: object, header: str | None) -> str | None:
        remembered.clear()
        return header

    comm._reply_subshell_for = addressed
