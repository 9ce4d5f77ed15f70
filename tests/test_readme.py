"""The README tells the truth: its example runs, its numbers come out, its table lists what there is, its links lead somewhere."""

import re

import pytest

from attnwidget import MODES


@pytest.fixture(scope="module")
def readme(root):
    return (root / "README.md").read_text(encoding="utf-8")


def test_the_ten_lines_run_and_give_the_numbers_beside_them(readme):
    code = re.search(r"## Ten lines\n\n```python\n(.*?)```", readme, re.DOTALL)[1]
    names: dict = {}
    exec(code, names)
    run = names["w"].run
    assert run.top(3).token.tolist() == [" John", " Mary", " every"]
    assert [f"{p:.0%}" for p in run.top(3).probability] == ["38%", "11%", "9%"]
    assert f"{run.kl():.2f}" == "1.85"


def test_the_table_of_modes_is_complete(readme):
    rows = dict(re.findall(r"^\| `(\w+)` \|.*\| (.*?) ?\|$", readme, re.MULTILINE))
    assert set(rows) == set(MODES)
    for name, params in rows.items():
        assert tuple(re.findall(r"`(\w+)`", params)) == MODES[name].params


def test_every_link_leads_to_a_file(readme, root):
    targets = re.findall(r"\]\((?!https?:)([^)#]+)\)", readme)
    assert targets and all((root / target).is_file() for target in targets)
