"""`attnwidget export`: a model and a prompt, or a notebook, as one page that needs no kernel and no network."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import AttnWidgetError
from .progress import Progress


def add(commands: argparse._SubParsersAction) -> None:
    about = "Writes one HTML file that shows the heads of MODEL on PROMPT, with no kernel and no network. Exit code 1: it was not made."
    parser = commands.add_parser("export", help="a model and a prompt as one HTML page", description=about)
    model = "a demo model (smollm2-135m, minilm), a folder in which transformers saved one, a name of the hub; or a notebook (.ipynb)"
    parser.add_argument("model", metavar="MODEL", help=model)
    parser.add_argument("prompt", nargs="?", metavar="PROMPT", help="the text that the model is given; a notebook has its own")
    parser.add_argument("-o", "--output", metavar="FILE", help="where the page goes (default: MODEL.html, here)")
    parser.add_argument("--ablate", type=_list, default=[], metavar="L9H6,...", help="heads that are off when the page opens")
    parser.add_argument("--mode", default="zero", help="what is done to a head that is off (default: zero)")
    parser.add_argument("--select", type=_list, default=[], metavar="L9H6,...", help="heads whose maps are open")
    parser.add_argument("--target", default="", metavar="TOKEN", help='the token that is asked about, with its space: " Mary"')
    parser.add_argument("--against", default="", metavar="TOKEN", help="the token that it is compared with")
    parser.add_argument("--bos", action=argparse.BooleanOptionalAction, help="put BOS first, or not (default: as the tokenizer does)")
    parser.add_argument("--include", type=_list, metavar="PART,...", help="what goes in, as --sizes names it (default: what it marks)")
    parser.add_argument("--sizes", action="store_true", help="say what each part would take, and write nothing")
    parser.set_defaults(run=export, parser=parser)


def export(given: argparse.Namespace) -> int:
    notebook = given.model.endswith(".ipynb")
    if not notebook and given.prompt is None:
        given.parser.error(f"the following arguments are required: PROMPT, for {given.model}")
    # What is in a notebook is in its cells: nothing of the command line is left out without a word.
    alone = {"model", "output", "run", "parser"}
    if notebook and any(value != given.parser.get_default(name) for name, value in vars(given).items() if name not in alone):
        given.parser.error("a notebook takes no PROMPT, and no option but -o")
    file = Path(given.output or f"{Path(given.model).stem if notebook else Path(given.model).name}.html")
    if not given.sizes and not file.absolute().parent.is_dir():
        raise AttnWidgetError(f"There is no folder {file.absolute().parent}: make it, or choose another file with -o.")
    return _lesson(given, file) if notebook else _run(given, file)


def _lesson(given: argparse.Namespace, file: Path) -> int:
    from ..export.lesson import export_lesson

    with Progress() as progress:
        progress("running the notebook")
        export_lesson(given.model, file, progress=progress.step)
    return _said(file)


def _run(given: argparse.Namespace, file: Path) -> int:
    with Progress() as progress:
        progress("loading the model")
        from ..loading import load_model
        from ..widget import AttentionWidget

        traits = {"ablated": given.ablate, "mode": given.mode, "selected": given.select, "target": given.target, "against": given.against}
        bos = {} if given.bos is None else {"prepend_bos": given.bos}
        w = AttentionWidget(load_model(given.model), given.prompt, **traits, **bos)
        if given.sizes:
            progress("looking what there is")
            parts = w.page_parts()
            progress.done()
            print(parts)
            return 0
        progress("making the page")
        w.to_html(file, include=given.include, progress=progress.step)
    return _said(file)


def _said(file: Path) -> int:
    print(f"{file}: {file.stat().st_size / 1e6:.2f} MB")
    return 0


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
