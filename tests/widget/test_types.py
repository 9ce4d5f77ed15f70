"""The TypeScript interface is generated from the traits; a stale file, or a trait without a type, fails here."""

import pytest
import traitlets as t

from attnwidget import MODES
from attnwidget.widget import typescript
from attnwidget.widget.state import PANELS, State


def test_the_generated_interface_is_up_to_date():
    assert typescript.main(["--check"]) == 0, "run `make types`"


def test_every_trait_is_in_it():
    text = typescript.interface()
    assert all(f"  {name}: " in text for name in State.class_traits(sync=True))
    assert "unknown[]" not in text and "any" not in text.split()


def test_a_trait_without_a_type_is_an_error():
    with pytest.raises(TypeError, match="No TypeScript type"):
        typescript.type_of(t.Any())


def test_mode_names_are_those_of_the_engine():
    assert State.mode.values == tuple(MODES)
    assert "outcome" in PANELS
