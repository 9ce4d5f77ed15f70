"""What a kernel would say where nobody looks: exceptions in handlers and threads, and everything that is logged as an error."""

from __future__ import annotations

from .lab import Kernel

LISTEN = """
def _listen():
    import logging, sys, threading, traceback
    heard = []
    class Hear(logging.Handler):
        def emit(self, record):
            heard.append(f'{record.name}: ' + logging.Formatter().format(record))
    hear = Hear(logging.ERROR)
    # Some of them pass nothing on to the root logger; what is heard twice is said once.
    for logger in [*map(logging.getLogger, (None, 'traitlets', 'asyncio', 'tornado.application')), get_ipython().kernel.log]:
        logger.addHandler(hear)
    say = lambda *error: heard.append(''.join(traceback.format_exception(*error)))
    threading.excepthook = lambda of: say(of.exc_type, of.exc_value, of.exc_traceback)
    sys.unraisablehook = lambda of: say(of.exc_type, of.exc_value, of.exc_traceback)
    return heard
_heard = _listen()
"""


def listen(kernel: Kernel) -> None:
    """From now on the kernel keeps what it would only have logged."""
    kernel.do(LISTEN)


def heard(kernel: Kernel) -> list[str]:
    """What it has kept since, each once."""
    return list(dict.fromkeys(kernel.read("_heard")))
