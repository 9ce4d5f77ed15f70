"""Attribution of the answer to every edge between components, by gradients: EAP and EAP-IG."""

from __future__ import annotations

from typing import Literal

import numpy as np

from .patching import Pair, Progress


def edge_attribution(
    pair: Pair,
    method: Literal["eap", "eap_ig"] = "eap_ig",
    *,
    steps: int = 5,
    progress: Progress | None = None,
) -> np.ndarray:
    """[edge] in float64: an estimate of `patching.edge_effects` for all edges at once.

    `score(u → d) = Σ_position (u's output in the counterfactual - in the clean run) · g_d`, with `g_d` the gradient of the drop of the
    metric with respect to the stream that d reads. Positive: the edge helps, as in `edge_effects`. (The published code of EAP-IG has
    the drop the other way round, so there negative scores help.)

    Args:
        method: "eap" takes the gradients at the clean run (Syed et al. 2023), "eap_ig" their mean over `steps` runs whose stream
            entering the first block is `counterfactual + k / steps · (clean - counterfactual)`, k = 1 ... steps (Hanna et al. 2024,
            "inputs").
        steps: 1 or more; "eap" takes none.

    Raises:
        AttnWidgetError: an unknown method, steps that are none, or "eap" of KL, whose slope at the clean run is zero.
    """
    raise NotImplementedError
