"""What the picture of kinds of heads says where no head is of a kind."""

import numpy as np
import pytest

from attnwidget.export.figures.kinds import _best


@pytest.mark.parametrize(("best", "said"), [(0.39, "0.39"), (0.3985, "0.3985"), (0.40, "0.40")])
def test_a_head_that_just_falls_short_does_not_look_as_if_it_did_not(best, said):
    """With two digits 0.3985 would be the 0.40 that it is not."""
    assert _best(np.array([[0.1, best]]), 0.4) == f"The largest score is {said}, of L0H1."
