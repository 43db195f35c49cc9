"""Packs a fitted pipeline for runtime python: a zip file with the pickle, its description, our own modules.

Input: the pipeline and the columns of its frame. Output: `Artifact`. Its sha256 stands in the functions;
equal pipelines make equal bytes.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import io
import json
import pickle
import platform
import sys
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from postgres_ml.contract.column import Column
from postgres_ml.contract.exceptions import UnsupportedModelError
from postgres_ml.serve import unpack
from postgres_ml.serve.audit import globals_of
from postgres_ml.serve.row_encoder import encoder_of

LARGEST_BYTES = 400_000_000  # Postgres takes statements of 1 GB, in which bytes are two characters each
N_SAMPLES = 64  # rows on which arrays have to predict what frames predict
#: libraries whose version decides what a pipeline predicts; each has a __version__
VERSIONED = ("sklearn", "numpy", "pandas", "scipy", "xgboost", "lightgbm", "onnxruntime", "mlflow")


@dataclass(frozen=True)
class Artifact:
    """A pipeline as bytes.

    Parameters
    ----------
    content : the zip file
    sha256 : of `content`, as hexadecimal digits
    python : minor version that it needs, '3.11'
    modules : libraries that it needs, and their versions here; '' where a library doesn't tell
    """

    content: bytes
    sha256: str
    python: str
    modules: dict[str, str]


def pack(
    pipeline: Any, columns: Sequence[Column], returns: str, labels: Sequence[Any] | None, sample: pd.DataFrame
) -> Artifact:
    """Return the artifact of a fitted pipeline.

    Parameters
    ----------
    columns : of the frame that it predicts from
    returns : SQL type of the prediction
    labels : what the columns of predict_proba are of; None where there is no predict_proba
    sample : some rows, on which it is found out whether arrays do instead of frames

    Raises
    ------
    UnsupportedModelError
        The pipeline can't be pickled, is too large, or holds a class of the main script.
    """
    pipeline, pickled, names = _pickled(pipeline)
    modules = {item.partition(":")[0] for item in names}
    takes = "rows" if getattr(pipeline, "takes_rows", False) else takes_arrays(pipeline, columns, sample)
    encoder = None if takes == "rows" else encoder_of(pipeline, columns, sample)
    libraries = {module.partition(".")[0] for module in modules}
    libraries |= {"numpy", "pandas"} if takes == "frame" else {"numpy"}
    about = {
        "format": "pickle",
        "columns": [[column.name, column.kind, column.sql_type] for column in columns],
        "takes": takes,
        "returns": returns,
        "labels": None if labels is None else [_json_label(label) for label in labels],
        "encoded": encoder is not None,
        "globals": names,
    }
    files = {"pipeline.pickle": pickled}
    if encoder is not None:
        files["encoder.py"] = encoder.encode()
    own = sorted(module for module in modules if module.startswith("postgres_ml."))
    return zipped(about, files, libraries, own)


def _pickled(pipeline: Any) -> tuple[Any, bytes, tuple[str, ...]]:
    """Return a copy of the pipeline that uses one thread, its pickle, and what that names."""
    name = type(pipeline).__name__
    try:
        copy = pickle.loads(pickle.dumps(pipeline, protocol=5))
        one_thread(copy)
        pickled = pickle.dumps(copy, protocol=5)
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise UnsupportedModelError(
            name, f"what it holds ({error})", "functions and classes have to be importable from a module"
        ) from error
    names = globals_of(pickled)
    if any(item.startswith("__main__:") for item in names):
        raise UnsupportedModelError(name, "a class of __main__", "move the class into an importable module")
    return copy, pickled, names


def pack_pyfunc(folder: Path, columns: Sequence[Column], returns: str) -> Artifact:
    """Return the artifact of an MLflow model that only MLflow can run.

    Parameters
    ----------
    folder : of the model, with its file MLmodel

    Raises
    ------
    UnsupportedModelError
        It is too large.
    """
    about = {
        "format": "pyfunc",
        "columns": [[column.name, column.kind, column.sql_type] for column in columns],
        "takes": "frame",
        "returns": returns,
        "labels": None,
        "encoded": False,
        "globals": [],
    }
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and "__pycache__" not in path.parts]
    files = {f"model/{path.relative_to(folder).as_posix()}": path.read_bytes() for path in paths}
    return zipped(about, files, {"mlflow", "numpy", "pandas"})


def zipped(
    about: dict[str, Any], files: dict[str, bytes], libraries: set[str], own: Sequence[str] = ()
) -> Artifact:
    """Return the artifact of these files, the scorer's source and the description.

    Parameters
    ----------
    libraries : that the pickle names; those that our modules import are added
    own : our modules that the pickle names

    Raises
    ------
    UnsupportedModelError
        It is too large.
    """
    sources = own_modules([*own, unpack.SCORER])
    for _, _, source in sources:
        libraries = libraries | {name.partition(".")[0] for name in _imports(ast.parse(source).body)}
    libraries -= {"postgres_ml", *sys.stdlib_module_names}
    python = ".".join(platform.python_version_tuple()[:2])
    versions = {name: _version(name) for name in sorted(libraries)}
    about = {**about, "modules": [name for name, _, _ in sources], "python": python, "libraries": versions}
    files = files | {f"modules/{path}": source.encode() for _, path, source in sources}
    files["about.json"] = json.dumps(about, ensure_ascii=False, sort_keys=True).encode()
    files["unpack.py"] = Path(unpack.__file__).read_bytes()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for path, content in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(path), content, zipfile.ZIP_DEFLATED)  # no time: equal bytes
    content = buffer.getvalue()
    if len(content) > LARGEST_BYTES:
        raise UnsupportedModelError(
            "artifact",
            f"{len(content) / 1e6:,.0f} MB",
            f"{LARGEST_BYTES / 1e6:,.0f} MB is the limit",
        )
    return Artifact(content, hashlib.sha256(content).hexdigest(), python, versions)


def _version(module: str) -> str:
    return str(getattr(importlib.import_module(module), "__version__", "")) if module in VERSIONED else ""


def _json_label(label: Any) -> Any:
    value = label.item() if hasattr(label, "item") else label
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, bool | int | float | str) else str(value)


def one_thread(value: Any, seen: set[int] | None = None) -> None:
    """Set every n_jobs inside a fitted pipeline to 1: a backend must not start threads or processes."""
    seen = set() if seen is None else seen
    if id(value) in seen or isinstance(value, str | bytes | int | float | np.generic):
        return
    seen.add(id(value))
    if isinstance(value, dict):
        children: Iterator[Any] = iter(list(value.values()))
    elif isinstance(value, list | tuple | set):
        children = iter(value)
    elif isinstance(value, np.ndarray):
        children = iter(value.ravel().tolist() if value.dtype == object else ())
    else:
        attributes = getattr(value, "__dict__", None)
        if not isinstance(attributes, dict) or isinstance(value, type):
            return
        if "n_jobs" in attributes:
            value.n_jobs = 1
        if type(value).__name__ == "Booster" and type(value).__module__.startswith("xgboost"):
            value.set_param({"nthread": 1})
        children = iter(list(attributes.values()))
    for child in children:
        one_thread(child, seen)


def takes_arrays(pipeline: Any, columns: Sequence[Column], sample: pd.DataFrame) -> str:
    """Return 'array' if the pipeline predicts the same from an array as from the frame, else 'frame'.

    An array of one row is made in a microsecond, a frame in a hundred.
    """
    if sample.empty or any(column.kind not in ("number", "boolean") for column in columns):
        return "frame"
    rows = sample.head(N_SAMPLES)
    names = [column.name for column in columns]
    try:
        with warnings.catch_warnings():  # that an array has no names is why it is tried
            warnings.simplefilter("ignore")
            by_array = np.asarray(pipeline.predict(rows[names].to_numpy(dtype=np.float64)))
            by_frame = np.asarray(pipeline.predict(rows[names]))
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):  # how libraries say: not an array
        return "frame"
    same = by_array.shape == by_frame.shape and bool(np.all((by_array == by_frame) | (by_array != by_array)))
    return "array" if same else "frame"


def has_centers(pipeline: Any) -> bool:
    """Return whether the pipeline assigns rows to the nearest of some centres."""
    last = pipeline[-1] if isinstance(pipeline, Pipeline) else pipeline
    return getattr(getattr(last, "cluster_centers_", None), "ndim", 0) == 2


def own_modules(names: Sequence[str]) -> list[tuple[str, str, str]]:
    """Return (module, path in the zip file, source) of our modules, what they import before them."""
    found: dict[str, tuple[str, str, str]] = {}

    def add(name: str) -> None:
        if name in found or not name.startswith("postgres_ml"):
            return
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            return  # `from package import name` of something that is no module
        if "." in name:
            add(name.rpartition(".")[0])
        source = Path(spec.origin).read_text(encoding="utf-8")
        if name.count(".") and not spec.submodule_search_locations:
            path = f"{name}.py"
        else:  # of a package only that it is one: its own imports would draw in everything
            found[name] = (name, f"{name}/__init__.py", "")
            return
        for imported in _imports(_statements(ast.parse(source).body)):
            if imported.partition(".")[0] == "postgres_ml":
                add(imported)
        found[name] = (name, path, source)

    for name in names:
        add(name)
    return list(found.values())


def _statements(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Walk through statements, and those inside them; `ast.walk` goes into expressions as well."""
    for node in nodes:
        yield node
        for name in ("body", "handlers", "cases", "orelse", "finalbody"):
            yield from _statements(getattr(node, name, ()))


def _imports(nodes: Iterable[ast.AST]) -> list[str]:
    names = []
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module:
            names.append(node.module)
            names += [f"{node.module}.{alias.name}" for alias in node.names if node.module == "postgres_ml"]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    return names
