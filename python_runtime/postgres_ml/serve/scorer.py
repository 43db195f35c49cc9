"""Answers calls of a function in runtime python, inside a Postgres backend.

Input: a pipeline, its description, and the arguments of calls. Output: predictions. The source of this module
travels in the artifact and runs in the server's own Python: it imports nothing of this package but modules
that travel with it, and pandas only where a frame is needed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from postgres_ml.program.raw_values import calendar_part
from postgres_ml.serve.fast_estimators import quick
from postgres_ml.serve.values import REFUSALS, instant, plain, reader, writer

#: what an encoder's source calls besides NumPy
ENCODER_SCOPE = {"instant": instant, "calendar_part": calendar_part}
Encoder = Callable[[Sequence[Any]], Any]


class Scorer:
    """A pipeline that answers rows and batches.

    Parameters
    ----------
    pipeline : fitted; or a function of a frame, for MLflow's pyfunc
    about : 'columns' as [name, kind, SQL type]; 'takes', what the pipeline predicts from: 'frame', 'array' or
        'rows'; 'returns', the SQL type of the prediction; 'labels', which predict_proba's columns are of, or
        None
    encode : makes one row of Postgres's values into the matrix that the pipeline's last step takes; None for
        a row that the pipeline refuses
    """

    def __init__(self, pipeline: Any, about: dict[str, Any], encode: Encoder | None = None) -> None:
        self.pipeline, self.about = pipeline, about
        self.names = [name for name, _, _ in about["columns"]]
        self.kinds = [kind for _, kind, _ in about["columns"]]
        self.readers = [reader(kind, sql_type) for _, kind, sql_type in about["columns"]]
        self.write = writer(about["returns"])
        self.takes = about["takes"]
        self.encode = encode or self._one
        #: what answers the rows that `encode` makes
        self.estimator = pipeline if encode is None else quick(last_step(pipeline))

    def predict(self, arguments: Sequence[Any]) -> Any:
        """Return the prediction for one row of Postgres's values; None where the pipeline refuses it."""
        try:
            rows = self.encode(arguments)
            if rows is None:
                return None
            predicted = self.estimator.predict(rows)
        except REFUSALS:
            return None
        return self.write(plain(np.asarray(predicted).ravel()[0]))

    def probabilities(self, arguments: Sequence[Any]) -> str | None:
        """Return labels and probabilities as JSON, most likely first; None where the pipeline refuses."""
        try:
            rows = self.encode(arguments)
            if rows is None:
                return None
            row = np.asarray(self.estimator.predict_proba(rows))[0]
        except REFUSALS:
            return None
        return self._ranked(row)

    def distances(self, arguments: Sequence[Any]) -> list[float | None] | None:
        """Return the distance of one row to each cluster's centre; None where the pipeline refuses it."""
        try:
            rows, last = self.encode(arguments), self.estimator
            if rows is None:
                return None
            if hasattr(last, "steps"):
                rows, last = last[:-1].transform(rows), last[-1]
            space = np.asarray(rows, dtype=np.float64)
            last.predict(space)  # refuses what it can't assign
        except REFUSALS:
            return None
        distances = np.sqrt(np.sum((last.cluster_centers_ - space) ** 2, axis=1))
        return [None if value != value else value for value in distances.tolist()]

    def is_anomaly(self, arguments: Sequence[Any]) -> bool | None:
        """Return whether one row is an anomaly; None where the pipeline refuses it."""
        try:
            rows, last = self.encode(arguments), self.estimator
            if rows is None:
                return None
            if hasattr(last, "steps"):
                rows, last = last[:-1].transform(rows), last[-1]
            return bool(last.is_anomaly(rows)[0])
        except REFUSALS:
            return None

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
        return [plain(value) for value in predicted.reshape(len(predicted), -1)[:, 0].tolist()]

    def _one(self, arguments: Sequence[Any]) -> Any:
        values = [read(value) for read, value in zip(self.readers, arguments, strict=True)]
        if self.takes == "rows":
            return [values]
        if self.takes == "array":
            return np.array([values], dtype=np.float64)
        return self._frame([[value] for value in values])

    def _many(self, numbers: bytes, others: Sequence[Sequence[Any]]) -> Any:
        n_numbers = sum(kind in ("number", "boolean") for kind in self.kinds)
        matrix = np.frombuffer(numbers, dtype=">f8").reshape(-1, max(n_numbers, 1)).astype(np.float64)
        if self.takes == "array":
            return matrix
        columns: list[Any] = []
        rest, position = iter(others), 0
        for kind, read in zip(self.kinds, self.readers, strict=True):
            if kind in ("number", "boolean"):
                columns.append(matrix[:, position])
                position += 1
            else:
                columns.append([read(value) for value in next(rest)])
        if self.takes == "rows":
            lists = [column.tolist() if isinstance(column, np.ndarray) else column for column in columns]
            return list(zip(*lists, strict=True))
        return self._frame(columns)

    def _frame(self, columns: Sequence[Any]) -> Any:
        import pandas

        arrays = {}
        for name, kind, values in zip(self.names, self.kinds, columns, strict=True):
            if kind in ("number", "boolean"):
                arrays[name] = np.asarray(values, dtype=np.float64)
            elif kind == "text":
                arrays[name] = pandas.Series(values, dtype=object)
            else:
                arrays[name] = np.array(values, dtype="datetime64[us]")
        return pandas.DataFrame(arrays, copy=False)

    def _ranked(self, row: Any) -> str:
        order = sorted(range(len(row)), key=lambda i: (-row[i], i))
        labels = [self.about["labels"][i] for i in order]
        probabilities = [None if row[i] != row[i] else float(row[i]) for i in order]
        return json.dumps({"labels": labels, "probabilities": probabilities}, ensure_ascii=False)


def last_step(pipeline: Any) -> Any:
    """Return a pipeline's estimator, or the estimator that is no pipeline."""
    return pipeline[-1] if hasattr(pipeline, "steps") else pipeline


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
    except REFUSALS:
        if len(rows) == 1:
            return [None]
    half = len(rows) // 2
    return by_halves(predict, rows[:half]) + by_halves(predict, rows[half:])
