"""The sweep in steps has, when it is finished, what a sweep in one go has."""

import numpy as np

from attnwidget.analysis.score import score_each
from attnwidget.widget.sweep import Sweep

from ..small import small_model


def test_steps_add_up_to_the_whole():
    run = small_model().run("the cat sat on the mat")
    whole = score_each(run, "ablation", ("kl", "entropy"))
    sweep, steps = Sweep(run, ("kl", "entropy"), mode="zero"), 0
    sweep._least = 3  # heads a step, of 16
    while not sweep.finished:
        sweep._size = 0.0
        sweep.step()
        steps += 1
    assert steps == 6
    for name, found in whole.items():
        np.testing.assert_allclose(sweep.scores[name].values, found.values, rtol=1e-4, atol=1e-6)
        np.testing.assert_array_equal(sweep.scores[name].extra["first_choice"], found.extra["first_choice"])
