"""An ONNX graph as an estimator: onnxruntime computes it, in this process and in one thread.

Travels in artifacts and runs in the server's own Python, like `scorer`. Rows are computed one by one, which
takes some 10 microseconds each: kernels add in another order for a batch, and in single precision that shows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as state

#: what onnxruntime raises for a row that a graph can't compute: a category that an encoder doesn't know
REFUSALS = (state.Fail, state.InvalidArgument, state.RuntimeException)
DTYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(int64)": "int64",
    "tensor(int32)": "int32",
    "tensor(bool)": "bool",
    "tensor(string)": "object",
}


@dataclass(frozen=True)
class GraphInput:
    """An input of the graph.

    Parameters
    ----------
    dtype : NumPy's name of its type; 'object' of text
    width : columns of it; 0 where the graph takes any number
    is_flat : whether it has one dimension, the rows
    """

    name: str
    dtype: str
    width: int
    is_flat: bool


class OnnxModel:
    """A graph that predicts a number, or a label without probabilities.

    Parameters
    ----------
    content : of the file, weights included
    output : position of the prediction among the graph's outputs
    """

    takes_rows = True

    def __init__(self, content: bytes, output: int = 0) -> None:
        self.content, self.output = content, output
        self._open()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("session", "inputs")}

    def __setstate__(self, values: dict[str, Any]) -> None:
        self.__dict__.update(values)
        self._open()

    def _open(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        self.session = onnxruntime.InferenceSession(self.content, options, providers=["CPUExecutionProvider"])
        self.inputs = tuple(map(graph_input, self.session.get_inputs()))

    def predict(self, rows: Any) -> Any:
        """Return the prediction of each row of a frame, an array or a list of lists.

        Raises
        ------
        ValueError
            The graph refuses a row: text or an integer is missing, a category is unknown.
        """
        return np.array([np.ravel(answer[self.output])[0] for answer in self._answers(rows)])

    def _answers(self, rows: Any) -> list[list[Any]]:
        if hasattr(rows, "itertuples"):
            rows = rows.astype(object).to_numpy()
        lists = rows.tolist() if isinstance(rows, np.ndarray) else rows
        try:
            return [self.session.run(None, self._feeds(row)) for row in lists]
        except REFUSALS as error:
            raise ValueError(str(error)) from error

    def _feeds(self, row: Sequence[Any]) -> dict[str, Any]:
        feeds, start = {}, 0
        for item in self.inputs:
            end = start + item.width if item.width else len(row)
            feeds[item.name] = tensor(item, row[start:end])
            start = end
        return feeds


class OnnxClassifier(OnnxModel):
    """A graph that predicts labels and their probabilities.

    Parameters
    ----------
    classes : in the order of the probabilities
    probabilities : position of the probabilities among the graph's outputs
    """

    def __init__(self, content: bytes, output: int, classes: Sequence[Any], probabilities: int) -> None:
        super().__init__(content, output)
        self.classes_, self.probabilities = np.array(classes), probabilities

    def predict_proba(self, rows: Any) -> Any:
        """Return probabilities of shape (n_rows, n_classes); raises as predict does."""
        answers = [answer[self.probabilities][0] for answer in self._answers(rows)]
        labels = self.classes_.tolist()
        # skl2onnx's ZipMap makes dictionaries
        return np.array([[a[x] for x in labels] if isinstance(a, dict) else list(a) for a in answers])


def graph_input(described: Any) -> GraphInput:
    """Return an input as onnxruntime describes it.

    Raises
    ------
    ValueError
        Its type or shape is none that a row of a table has.
    """
    name, dtype, shape = described.name, DTYPES.get(described.type), list(described.shape)
    if dtype is None or len(shape) not in (1, 2):
        raise ValueError(f"input {name} is {described.type} of shape {shape}, and not a table's column")
    width = 1 if len(shape) == 1 else shape[1] if isinstance(shape[1], int) else 0
    return GraphInput(name, dtype, width, len(shape) == 1)


def tensor(item: GraphInput, cells: Sequence[Any]) -> Any:
    """Return the cells of one row as the graph takes them.

    Raises
    ------
    ValueError
        A cell is missing, infinite or a fraction, and the type has no such value.
    """
    if item.dtype == "object":
        if not all(isinstance(cell, str) for cell in cells):
            raise ValueError(f"input {item.name} takes no missing text")
    elif not item.dtype.startswith("float"):
        if not all(map(math.isfinite, cells)):
            raise ValueError(f"input {item.name} is of {item.dtype}, which has no missing values")
        if not all(cell == int(cell) and (item.dtype != "bool" or 0 <= cell <= 1) for cell in cells):
            raise ValueError(f"input {item.name} is of {item.dtype}, which has no such value")
    with np.errstate(over="ignore"):  # doubles beyond single precision are infinite in it
        return np.array(cells if item.is_flat else [cells], dtype=item.dtype)
