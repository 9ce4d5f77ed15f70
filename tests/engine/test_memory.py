"""How much memory is left before there is none."""

import pytest
import torch

from attnwidget.engine import memory

CPU = torch.device("cpu")


def test_numbers_are_read_as_the_system_writes_them(tmp_path):
    (tmp_path / "meminfo").write_text("MemTotal:  900 kB\nMemAvailable:  500 kB\n")
    (tmp_path / "max").write_text("max\n")
    (tmp_path / "current").write_text("12345\n")
    assert memory._number(str(tmp_path / "meminfo"), "MemAvailable:", 1024) == 500 * 1024
    assert memory._number(str(tmp_path / "max")) is None and memory._number(str(tmp_path / "current")) == 12345
    assert memory._number(str(tmp_path / "none")) is None and memory._number(str(tmp_path / "meminfo"), "SwapFree:") is None


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"MemAvailable:": 900}, 900),
        ({"MemAvailable:": 900, "max": 500, "current": 300}, 200),
        ({"MemAvailable:": 900, "max": 500, "current": 300, "inactive_file": 150}, 350),
        ({"MemAvailable:": 100, "max": 500, "current": 300, "inactive_file": 150}, 100),
        ({}, None),
    ],
)
def test_what_is_left_is_what_the_machine_or_the_container_has(monkeypatch, said, expected):
    monkeypatch.setattr(memory, "_number", lambda path, name="", unit=1: said.get(name or path.rsplit(".", 1)[-1]))
    assert memory.unused_bytes(CPU) == expected
    assert memory.unused_bytes(torch.device("mps")) is None
