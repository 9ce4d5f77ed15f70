"""The small model, once a session."""

import pytest

from attnwidget import Model
from tests.small import small_model


@pytest.fixture(scope="session")
def model() -> Model:
    """See `tests/small.py`."""
    return small_model()
