"""`doctor()`: what is in this environment, what of it is broken, and what to do about it. One file per subject."""

from __future__ import annotations

from . import frontend, host, selftest, versions, weights
from .report import Finding, Report

__all__ = ["Finding", "Report", "doctor"]


def doctor(model: str | None = None) -> Report:
    """Looks at everything that a notebook with attnwidget stands on.

    Args:
        model: a name for `load_model`, whose self-test is then run. None: of a tiny GPT-2 with random weights, made on the spot.

    Returns a `Report`: in a cell it shows as text, `report.broken` has what is broken (nothing, where all is well), `report.to_dict()` has
    everything. Nothing is asked of any network, unless `model` is on a hub.
    """
    found = [*versions.findings(), *frontend.findings(), *host.findings(), *weights.findings()]
    # What cannot be imported was said; a self-test would say it again, with a traceback of somebody else's.
    if not any(finding.broken and finding.topic == "packages" for finding in found):
        found += selftest.findings(model)
    return Report(tuple(found))
