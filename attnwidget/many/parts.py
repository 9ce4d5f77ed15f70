"""Answers on disk: a folder with one parquet file for each task, named by a hash of all that decides its numbers."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import uuid
from functools import cache
from pathlib import Path

import numpy as np

from ..errors import AttnWidgetError
from .spec import Live
from .task import Answer, Task

_MARK = b"attnwidget"  # in the file's metadata, beside what others keep there
_FORM = 1  # of a part; another form is another name
_DECIDING = ("attnwidget", "torch", "transformers", "transformer-lens")


class Parts:
    """Written beside its place and renamed, so a part is whole or not there; one that is damaged all the same counts as not there.

    Columns: layer, head, and each array of the answer; its metadata has the facts and a checksum of both.
    """

    def __init__(self, folder: str | os.PathLike, weights: str):
        """`weights` is the model's `fingerprint`."""
        try:
            import pyarrow.parquet
        except ImportError:
            raise AttnWidgetError("A checkpoint folder holds parquet files, which need pyarrow: pip install pyarrow.") from None
        self._parquet = pyarrow.parquet
        self.folder, self._weights = Path(folder).expanduser(), weights
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise AttnWidgetError(f"checkpoint must be a folder that can be written, and {str(folder)!r} is none ({error}).") from None

    def name(self, task: Task) -> str:
        """The name of a task's part: equal names, equal numbers."""
        import torch

        if isinstance(task.spec, Live):
            model = task.spec.model
            where = [str(model.device), str(model.dtype), model.batch_budget]
        else:
            where = [task.spec.device or _anywhere(), task.spec.dtype]
        threads = torch.get_num_threads() if task.threads is None else task.threads
        how = [task.prepend_bos, threads, torch.get_float32_matmul_precision()]
        decides = [_FORM, _versions(), self._weights, where, task.compute.__name__, task.content, dict(task.question), how]
        said = json.dumps(decides, sort_keys=True)
        return hashlib.sha256(said.encode()).hexdigest()[:40]

    def read(self, name: str) -> Answer | None:
        """The answer that was kept, to the bit; None where there is none, or where its file is damaged."""
        path = self.folder / f"{name}.parquet"
        if not path.is_file():
            return None
        try:
            table = self._parquet.ParquetFile(path).read()
            kept = json.loads(table.schema.metadata[_MARK])
            layers, heads = kept["shape"]
            arrays = {key: table[key].to_numpy().reshape(layers, heads) for key in kept["arrays"]}
            answer = Answer(arrays, kept["facts"])
            whole = kept["name"] == name and kept["sum"] == _sum(answer)
        except Exception:  # whatever a damaged file makes its readers raise
            return None
        return answer if whole else None

    def write(self, name: str, answer: Answer) -> None:
        import pyarrow

        shape = next(iter(answer.arrays.values())).shape
        layers, heads = (axis.ravel() for axis in np.indices(shape))
        kept = {"name": name, "shape": shape, "arrays": list(answer.arrays), "facts": dict(answer.facts), "sum": _sum(answer)}
        columns = {"layer": layers, "head": heads, **{key: values.ravel() for key, values in answer.arrays.items()}}
        table = pyarrow.table({key: pyarrow.array(values, from_pandas=False) for key, values in columns.items()})
        half = self.folder / f".{name}-{uuid.uuid4().hex}"
        try:
            self._parquet.write_table(table.replace_schema_metadata({_MARK: json.dumps(kept)}), half)
            os.replace(half, self.folder / f"{name}.parquet")
        except OSError as error:
            raise AttnWidgetError(f"A part could not be written to {str(self.folder)!r}: {error}.") from error
        finally:
            half.unlink(missing_ok=True)


def _anywhere() -> str:
    """What a model goes to that nothing is said of: the accelerator that is there."""
    import torch

    return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"


@cache
def _versions() -> list[str]:
    return [importlib.metadata.version(package) for package in _DECIDING]


def _sum(answer: Answer) -> str:
    digest = hashlib.sha256(json.dumps(dict(answer.facts), sort_keys=True).encode())
    for key, values in sorted(answer.arrays.items()):
        digest.update(key.encode() + np.ascontiguousarray(values, np.float64).tobytes())
    return digest.hexdigest()
