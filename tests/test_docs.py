"""The docs tell the truth where a test can see it: links lead somewhere, examples name what there is, indexes are complete."""

import ast
import inspect
import re
import unicodedata
from textwrap import dedent

import pytest

import attnwidget
from attnwidget import MODES, public
from attnwidget.analysis import METHODS, METRICS
from attnwidget.analysis.kinds import KINDS
from attnwidget.analysis.measure import EMBEDDING_METRICS
from attnwidget.analysis.statistics import STATISTICS

from .conftest import ROOT
from .models import IDS, subject

PAGES = [*sorted((ROOT / "docs").glob("*.md")), *sorted(ROOT.glob("*.md")), ROOT / "notebooks" / "README.md"]
FENCES = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)
MAX_PICTURE = 250_000  # bytes


@pytest.fixture(params=PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def page(request):
    return request.param, request.param.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def smol():
    return attnwidget.load_model("smollm2-135m")


def _slug(title: str) -> str:
    """The anchor that GitHub gives a heading."""
    title = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).strip().lower()
    return "".join(c for c in title if c in "-_ " or unicodedata.category(c)[0] in "LN").replace(" ", "-")


def test_links_and_pictures_lead_somewhere(page):
    path, text = page
    prose = FENCES.sub("", text)
    wrong = []
    for target in re.findall(r"\]\((?!https?:|mailto:)([^)\s]+)\)", prose):
        file, _, anchor = target.partition("#")
        there = (path.parent / file).resolve() if file else path
        if not there.exists() or not there.is_relative_to(ROOT) or (anchor and anchor not in _anchors(there)):
            wrong.append(target)
    assert not wrong


def _anchors(page):
    return {_slug(title) for title in re.findall(r"^#+ (.*)$", FENCES.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)}


def test_every_page_is_on_the_map(root):
    text = (root / "docs" / "index.md").read_text(encoding="utf-8")
    assert [path.name for path in PAGES if path.parent.name == "docs" and path.name != "index.md" and f"]({path.name})" not in text] == []


def test_pictures_are_small_and_shown(root):
    shown = "\n".join(path.read_text(encoding="utf-8") for path in PAGES)
    pictures = list((root / "docs" / "images").iterdir())
    assert pictures
    assert [picture.name for picture in pictures if picture.stat().st_size > MAX_PICTURE] == []
    assert [picture.name for picture in pictures if f"images/{picture.name})" not in shown] == [], "nobody sees it"
    assert not re.findall(r"!\[\s*\]\(", shown), "a picture without a description"


def test_examples_are_python_that_names_what_there_is(page):
    _, text = page
    for language, code in FENCES.findall(text):
        if language != "python":
            continue
        # `…` stands for more of the same; `%pip` is a notebook's.
        tree = ast.parse("\n".join(line for line in dedent(code).replace("…", "...").splitlines() if not line.startswith("%")))
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "attnwidget":
                module = __import__(node.module, fromlist=["*"])
                assert all(hasattr(module, alias.name) for alias in node.names), ast.unparse(node)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in public.__all__:
                _accepts(getattr(attnwidget, node.func.id), node)


def _accepts(function, call):
    """Keywords of a call are parameters of the function; of a widget, its traits."""
    names = set(inspect.signature(function).parameters)
    if inspect.isclass(function) and issubclass(function, attnwidget.AttentionWidget):
        names |= set(function.class_traits(sync=True))
    keywords = {keyword.arg for keyword in call.keywords if keyword.arg}
    open_ended = any(p.kind is p.VAR_KEYWORD for p in inspect.signature(function).parameters.values())
    assert keywords <= names or (open_ended and function is attnwidget.score), f"{ast.unparse(call)}: no {keywords - names}"


def _blocks(root, name):
    text = (root / "docs" / name).read_text(encoding="utf-8")
    return [code for language, code in FENCES.findall(text) if language == "python"]


@pytest.mark.demo
def test_two_prompts_run_and_give_the_numbers_beside_them(root, smol):
    names = {**vars(public), "model": smol}
    exec(_blocks(root, "comparing.md")[0], names)
    found = names["found"]
    assert [str(head) for head in found.scores("noising").top(3)] == ["L23H3", "L29H1", "L20H0"]
    assert [str(head) for head in found.scores("js").top(3)] == ["L24H4", "L8H0", "L8H1"]
    assert f"{found.answers.difference:.1f}" == "11.6"


@pytest.mark.demo
def test_layers_and_texts_run(root, smol, prompt):
    names = {**vars(public), "model": smol, "run": smol.run(prompt)}
    for code in _blocks(root, "layers-and-text.md")[:2]:
        exec(code, names)
    assert names["said"].control.text


def test_the_lines_about_the_inside_of_heads_run(root):
    model = subject("llama").model
    code = _blocks(root, "heads-inside.md")[0]
    for theirs, ours in (('" Mary"', "5"), ('" John"', "6"), ("L18H6", "L2H3"), ("query=13, key=8", "query=7, key=3")):
        assert theirs in code
        code = code.replace(theirs, ours)
    exec(code, {"model": model, "run": model.run(IDS)})


def test_the_index_of_methods_is_complete(root):
    text = (root / "docs" / "methods.md").read_text(encoding="utf-8")
    code = {name for span in re.findall(r"`([^`]+)`", text) for name in re.findall(r"\w+", span)}
    functions = {name for name in public.__all__ if inspect.isfunction(getattr(public, name))}
    # What shows or loads, and computes nothing.
    functions = {name for name in functions if getattr(public, name).__module__.startswith(("attnwidget.analysis", "attnwidget.many"))}
    assert functions - code == set()
    for names in (MODES, METHODS, METRICS, EMBEDDING_METRICS, STATISTICS, KINDS):
        assert {name for name in names if not name.endswith("_cls")} - code == set()


def test_the_tables_of_the_index_are_those_of_the_code(root):
    text = (root / "docs" / "methods.md").read_text(encoding="utf-8")
    modes = dict(re.findall(r"^\| `(\w+)` \|.*\| (.*?) ?\|[^|]*\|$", _part(text, "What can be done to a head"), re.MULTILINE))
    assert {name: tuple(re.findall(r"`(\w+)`", parameters)) for name, parameters in modes.items()} == {
        name: mode.params for name, mode in MODES.items()
    }
    methods = dict(re.findall(r"^\| \[`(\w+)`\].*\| ([^|]*?) \|[^|]*\|$", _part(text, "One number for every head"), re.MULTILINE))
    assert list(methods) == list(METHODS)
    assert {name for name, kind in methods.items() if kind.startswith("exact")} == {
        name for name, method in METHODS.items() if method.exact
    }


def _part(text, title):
    return text[text.index(f"## {title}") :].split("\n## ")[0]


def test_references_of_the_index_are_listed(root):
    text = (root / "docs" / "methods.md").read_text(encoding="utf-8")
    table, listed = text.split("## References")
    cited = set(re.findall(r"(\w+)(?: et al\.| and \w+)? ((?:19|20)\d\d)\b", table))
    assert len(cited) > 15
    assert [one for one in sorted(cited) if not re.search(rf"{one[0]}\b.*\b{one[1]}", listed)] == []


def test_costs_of_circuits_are_those_of_the_benchmark(root):
    """A table's number is the rounded median of the last run."""
    page = (root / "docs" / "circuits.md").read_text(encoding="utf-8")
    run = (root / "benchmarks" / "results" / "circuits-cpu.txt").read_text(encoding="utf-8")

    def median(label):
        return float(re.search(rf"^{label}, in forwards\s+([\d.]+)", run, re.MULTILINE)[1])

    for method, label, digits in (("`eap_ig` (default)", "EAP-IG, 5 steps", 0), ("`eap`", "EAP", 1)):
        row = next(line for line in page.splitlines() if line.startswith(f"| {method} |"))
        said = [float(number) for number in re.findall(r"(?:measured|;) ([\d.]+)", row)]
        models = ("SmolLM2-135M, 70,651 edges", "GPT-2 small, random, 32,491 edges")
        assert said == [round(median(f"{model}: {label}"), digits) for model in models]
