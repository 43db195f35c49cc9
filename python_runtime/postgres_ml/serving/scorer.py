"""Answers calls of a function in runtime python, inside a Postgres backend.

Input: an artifact that `artifact.pack` made, and the arguments of calls. Output: predictions. The source of
this module travels in the artifact and runs in the server's own Python: it imports nothing of this package,
and pandas only where the pipeline takes frames.
"""

from __future__ import annotations

import io
import json
import math
import pickle
import re
import sys
import types
import warnings
import zipfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np


class UntrustedError(Exception):
    """The artifact's pickle names something that was not in it when it was packed."""


class ArtifactUnpickler(pickle.Unpickler):
    """Constructs nothing but the types that stood in the pipeline when it was packed.

    Parameters
    ----------
    file : of the pickle
    allowed : 'module:name' of each
    own : modules whose source is part of the artifact
    """

    def __init__(self, file: io.BytesIO, allowed: Sequence[str], own: Mapping[str, types.ModuleType]) -> None:
        super().__init__(file)
        self.allowed, self.own = frozenset(allowed), own

    def find_class(self, module: str, name: str) -> Any:
        """Return the type.

        Raises
        ------
        UntrustedError
            It is not among the allowed ones.
        """
        if f"{module}:{name}" not in self.allowed:
            raise UntrustedError(f"the pickle names {module}.{name}, which was not in it when it was packed")
        if module in self.own:
            found: Any = self.own[module]
            for part in name.split("."):
                found = getattr(found, part)
            return found
        return super().find_class(module, name)


class Scorer:
    """A pipeline that answers rows and batches.

    Parameters
    ----------
    pipeline : fitted; or a function of a frame, for MLflow's pyfunc
    about : 'columns' as [name, kind, SQL type]; 'takes', 'frame' or 'array'; 'returns', the SQL type of the
        prediction; 'labels', which predict_proba's columns are of, or None
    """

    def __init__(self, pipeline: Any, about: dict[str, Any]) -> None:
        self.pipeline, self.about = pipeline, about
        self.names = [name for name, _, _ in about["columns"]]
        self.readers = [reader(kind, sql_type) for _, kind, sql_type in about["columns"]]
        self.is_text = [kind == "text" for _, kind, _ in about["columns"]]
        self.kinds = [kind for _, kind, _ in about["columns"]]
        self.write = writer(about["returns"])
        self.takes_arrays = about["takes"] == "array"
        if not self.takes_arrays:
            import pandas

            self.pandas = pandas

    def predict(self, arguments: Sequence[Any]) -> Any:
        """Return the prediction for one row of Postgres's values; None where the pipeline refuses it."""
        try:
            predicted = self.pipeline.predict(self._one(arguments))
        except ValueError:  # scikit-learn's, and xgboost's XGBoostError, which is one
            return None
        return self.write(_plain(np.asarray(predicted).ravel()[0]))

    def probabilities(self, arguments: Sequence[Any]) -> str | None:
        """Return labels and probabilities as JSON, most likely first; None where the pipeline refuses."""
        try:
            row = np.asarray(self.pipeline.predict_proba(self._one(arguments)))[0]
        except ValueError:
            return None
        return self._ranked(row)

    def batch(self, numbers: bytes, *others: Sequence[Any]) -> list[Any]:
        """Return the predictions for many rows.

        Parameters
        ----------
        numbers : doubles in network byte order, row by row, of the columns that are numbers or booleans
        others : a list for each other column, in order
        """
        with np.errstate(all="ignore"):
            return [self.write(v) for v in by_halves(self._predictions, self._many(numbers, others))]

    def _predictions(self, rows: Any) -> list[Any]:
        predicted = np.asarray(self.pipeline.predict(rows))
        return [_plain(value) for value in predicted.reshape(len(predicted), -1)[:, 0].tolist()]

    def _one(self, arguments: Sequence[Any]) -> Any:
        values = [read(value) for read, value in zip(self.readers, arguments, strict=True)]
        if self.takes_arrays:
            return np.array([values], dtype=np.float64)
        return self._frame([[value] for value in values])

    def _many(self, numbers: bytes, others: Sequence[Sequence[Any]]) -> Any:
        n_numbers = sum(kind in ("number", "boolean") for kind in self.kinds)
        matrix = np.frombuffer(numbers, dtype=">f8").reshape(-1, max(n_numbers, 1)).astype(np.float64)
        if self.takes_arrays:
            return matrix
        columns: list[Any] = []
        rest, position = iter(others), 0
        for kind, read in zip(self.kinds, self.readers, strict=True):
            if kind in ("number", "boolean"):
                columns.append(matrix[:, position])
                position += 1
            else:
                values = next(rest)
                columns.append(values if kind == "text" else [read(value) for value in values])
        return self._frame(columns)

    def _frame(self, columns: Sequence[Any]) -> Any:
        arrays = {}
        for name, kind, values in zip(self.names, self.kinds, columns, strict=True):
            if kind in ("number", "boolean"):
                arrays[name] = np.asarray(values, dtype=np.float64)
            elif kind == "text":
                arrays[name] = self.pandas.Series(values, dtype=object)
            else:
                arrays[name] = np.array(values, dtype="datetime64[us]")
        return self.pandas.DataFrame(arrays, copy=False)

    def _ranked(self, row: Any) -> str:
        order = sorted(range(len(row)), key=lambda i: (-row[i], i))
        labels = [self.about["labels"][i] for i in order]
        probabilities = [None if row[i] != row[i] else float(row[i]) for i in order]
        return json.dumps({"labels": labels, "probabilities": probabilities}, ensure_ascii=False)


class PyFunc:
    """An MLflow pyfunc as something that has `predict`; its answer's first column counts."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def predict(self, rows: Any) -> Any:
        """Return the model's answer as an array."""
        return np.asarray(self.model.predict(rows))


def by_halves(predict: Callable[[Any], list[Any]], rows: Any) -> list[Any]:
    """Return a prediction for each row, None where the library refuses it.

    A library refuses a whole batch for one row: batches are halved until the row is found.
    """
    if len(rows) == 0:
        return []
    try:
        return predict(rows)
    except ValueError:
        if len(rows) == 1:
            return [None]
    half = len(rows) // 2
    return by_halves(predict, rows[:half]) + by_halves(predict, rows[half:])


def reader(kind: str, sql_type: str) -> Callable[[Any], Any]:
    """Return what makes a value of the training's frame out of what PL/Python hands over."""
    if kind in ("number", "boolean"):
        return lambda value: math.nan if value is None else float(value)
    if kind == "text":
        # blanks at the end mean nothing in type character, and Postgres's casts drop them
        return (lambda v: None if v is None else v.rstrip(" ")) if sql_type == "character" else lambda v: v
    return _instant


MOMENT = re.compile(
    r"(?:(\d{4,})-(\d\d)-(\d\d))?[ T]?(?:(\d\d):(\d\d):(\d\d)(?:\.(\d+))?)?"
    r"(?:([+-])(\d\d)(?::?(\d\d))?(?::?(\d\d))?)?( BC)?"
)
LAST_YEAR = 294_000  # of 64 bits of microseconds; Postgres's go further, and are missing in training too


def _instant(value: str | None) -> np.datetime64:
    """Return a date, time or timestamp in UTC, as in training; a time is an instant of 1970-01-01."""
    found = None if value is None else MOMENT.fullmatch(value)
    if found is None:  # NULL, or infinity
        return np.datetime64("NaT", "us")
    year, month, day, hour, minute, second, fraction, sign, *zone, before = found.groups()
    days = np.datetime64(0, "D")
    if year is not None:
        number = 1 - int(year) if before else int(year)
        if number > LAST_YEAR:
            return np.datetime64("NaT", "us")
        months = np.datetime64((number - 1970) * 12 + int(month) - 1, "M")
        days = months.astype("datetime64[D]") + np.timedelta64(int(day) - 1, "D")
    seconds = 3600 * int(hour or 0) + 60 * int(minute or 0) + int(second or 0)
    offset = sum(int(part or 0) * weight for part, weight in zip(zone, (3600, 60, 1), strict=True))
    seconds -= -offset if sign == "-" else offset
    micros = seconds * 1_000_000 + int((fraction or "").ljust(6, "0"))
    instant: np.datetime64 = days.astype("datetime64[us]") + np.timedelta64(micros, "us")
    return instant


def writer(sql_type: str) -> Callable[[Any], Any]:
    """Return what makes a value for Postgres out of a prediction."""
    if sql_type == "boolean":
        return lambda value: None if value is None else bool(value)
    if sql_type in ("smallint", "integer", "bigint"):
        return lambda value: None if value is None or value != value else int(value)
    if sql_type in ("real", "double precision"):
        return lambda value: None if value is None else float(value)
    return lambda value: None if value is None else _text(value)


def _text(value: Any) -> str:
    """Return a label as Postgres prints it: true, 3, 1.5, yes."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def load(archive: zipfile.ZipFile) -> Scorer:
    """Return the scorer of an artifact.

    Raises
    ------
    UntrustedError
        The pickle names a type that was not in it when it was packed.
    ImportError
        A library that the pipeline needs is not there.
    """
    warnings.simplefilter("ignore")  # they would go to the server's log with every row
    about = json.loads(archive.read("about.json"))
    if about["format"] == "pyfunc":
        return Scorer(PyFunc(_load_pyfunc(archive)), about)
    own = _own_modules(archive, about["modules"])
    pickled = io.BytesIO(archive.read("pipeline.pickle"))
    return Scorer(ArtifactUnpickler(pickled, about["globals"], own).load(), about)


def _own_modules(archive: zipfile.ZipFile, names: Sequence[str]) -> dict[str, types.ModuleType]:
    """Return the modules in the artifact, in the order in which they import one another.

    They are importable only while they are made: another artifact may bring other versions of them, and so
    may a package that is installed.
    """
    made: dict[str, types.ModuleType] = {}
    before = {name: sys.modules.get(name) for name in names}
    try:
        for name in names:
            module = types.ModuleType(name)
            if f"modules/{name}/__init__.py" in archive.namelist():
                module.__path__ = []
                source = archive.read(f"modules/{name}/__init__.py")
            else:
                source = archive.read(f"modules/{name}.py")
            made[name] = sys.modules[name] = module
            exec(compile(source, f"<{name} in the artifact>", "exec"), module.__dict__)
    finally:
        for name, module_before in before.items():
            if module_before is None:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = module_before
    return made


def _load_pyfunc(archive: zipfile.ZipFile) -> Any:
    import tempfile

    import mlflow.pyfunc  # type: ignore[import-not-found, unused-ignore]

    with tempfile.TemporaryDirectory(prefix="postgres-ml-") as directory:
        archive.extractall(directory, [name for name in archive.namelist() if name.startswith("model/")])
        return mlflow.pyfunc.load_model(f"{directory}/model")
