"""Reads ONNX files: the graph, its inputs as arguments, its outputs as labels and probabilities.

Input: a file, as a source or in MLflow's flavor onnx. Output: an estimator that onnxruntime computes. A graph
is data: loading it runs no code.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from postgres_ml.contract.column import Column, Kind
from postgres_ml.contract.exceptions import ArtifactError, SpecError

if TYPE_CHECKING:
    from postgres_ml.serve.onnx_model import OnnxModel

#: SQL type of an argument; doubles for singles, since Postgres's cast to real raises where it overflows
SQL_TYPES: dict[str, tuple[str, Kind]] = {
    "float32": ("double precision", "number"),
    "float64": ("double precision", "number"),
    "int64": ("bigint", "number"),
    "int32": ("integer", "number"),
    "bool": ("boolean", "boolean"),
    "object": ("text", "text"),
}
LABEL_TYPES = ("tensor(int64)", "tensor(int32)", "tensor(string)")
CLASS_ATTRIBUTES = ("classlabels_strings", "classlabels_int64s", "classlabels_ints")


def read_onnx(path: Path) -> OnnxModel:
    """Return the model in an ONNX file.

    Raises
    ------
    ArtifactError
        The packages aren't installed, the file is damaged, or its inputs or outputs are no table's.
    """
    try:
        import onnx
        from google.protobuf.message import DecodeError
        from onnxruntime.capi import onnxruntime_pybind11_state as state

        from postgres_ml.serve.onnx_model import OnnxModel
    except ImportError as error:
        raise ArtifactError(
            f"source {path.name} needs the package {error.name}, which isn't installed in dbt's environment: "
            "pip install 'dbt-postgres-ml[onnx]' (the server needs onnxruntime in the same version)"
        ) from error
    unreadable = (
        *(state.Fail, state.InvalidArgument, state.InvalidGraph, state.InvalidProtobuf, state.NoSuchFile),
        *(state.NotImplemented, state.RuntimeException),
    )
    try:
        graph = onnx.load(str(path))  # with weights that are in files beside it, as MLflow stores them
        model = OnnxModel(graph.SerializeToString())
    except (*unreadable, DecodeError, OSError, ValueError, onnx.checker.ValidationError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ArtifactError(
            f"source {path.name} is not a model that onnxruntime can run: {reason}"
        ) from error
    return with_outputs(path.name, graph, model)


def with_outputs(name: str, graph: Any, model: OnnxModel) -> OnnxModel:
    """Return the model with what its outputs mean.

    Raises
    ------
    ArtifactError
        It has no output of one number or label a row.
    """
    from postgres_ml.serve.onnx_model import OnnxClassifier, OnnxModel

    outputs = model.session.get_outputs()
    kinds = [output.type for output in outputs]
    labels = [position for position, kind in enumerate(kinds) if kind in LABEL_TYPES]
    if labels:
        label = labels[0]
        rest = [k for k, kind in enumerate(kinds) if k != label and kind.startswith(("seq(map", "tensor("))]
        classes = class_labels(graph, is_text=kinds[label] == "tensor(string)")
        if not rest or not classes:
            lacks = "no probabilities" if classes else "no list of them"
            raise ArtifactError(
                f"source {name} predicts labels but has {lacks} (outputs: {described(outputs)}): export the "
                "classifier with both, as skl2onnx does"
            )
        width = outputs[rest[0]].shape[-1:]
        if width and isinstance(width[0], int) and width[0] != len(classes):
            raise ArtifactError(f"source {name} has {len(classes)} labels and {width[0]} probabilities a row")
        return OnnxClassifier(model.content, label, classes, rest[0])
    single = [k for k, o in enumerate(outputs) if o.type.startswith("tensor(") and o.shape[1:] in ([], [1])]
    if len(single) != 1:
        raise ArtifactError(
            f"source {name} has not one output of one value a row, but {described(outputs)}: a function "
            "returns a number, or a label with probabilities"
        )
    return OnnxModel(model.content, single[0])


def described(outputs: Any) -> str:
    """Return the outputs in words."""
    return ", ".join(f"{output.name} {output.type}{output.shape}" for output in outputs)


def class_labels(graph: Any, *, is_text: bool) -> tuple[str | int, ...]:
    """Return the classes, from the operators of onnx-ml or from skl2onnx's array of them; () if neither."""
    import onnx

    tables = {item.name: onnx.numpy_helper.to_array(item).tolist() for item in graph.graph.initializer}
    # the label is what comes out at the end: ZipMap's and the array's are its, an operator's may be codes
    order = {"ZipMap": 0, "ArrayFeatureExtractor": 1}
    for node in sorted(graph.graph.node, key=lambda node: order.get(node.op_type, 2)):
        values: list[Any] = []
        for attribute in node.attribute:
            if attribute.name in CLASS_ATTRIBUTES:
                values = values or list(onnx.helper.get_attribute_value(attribute))
        if node.op_type == "ArrayFeatureExtractor" and not values:
            values = list(tables.get(node.input[0], ()))
        decoded = [value.decode() if isinstance(value, bytes) else value for value in values]
        if decoded and all(isinstance(value, str if is_text else int) for value in decoded):
            return tuple(decoded)
    return ()


def arguments_of(model: Any) -> tuple[Column, ...]:
    """Return a column for each input of a graph that has one for each column; () otherwise."""
    inputs = getattr(model, "inputs", ())
    if any(item.width != 1 for item in inputs):
        return ()
    return tuple(Column(item.name, *SQL_TYPES[item.dtype]) for item in inputs)


def check_types(origin: str, model: Any, columns: Sequence[Column]) -> None:
    """Check that text goes where a graph takes text, and numbers where it takes numbers.

    Raises
    ------
    SpecError
        Names the first argument that doesn't fit, and both types.
    """
    inputs = [item for item in getattr(model, "inputs", ()) for _ in range(item.width or len(columns))]
    for column, item in zip(columns, inputs, strict=False):
        kinds = ("text",) if item.dtype == "object" else ("number", "boolean")
        if column.kind not in kinds:
            raise SpecError(
                f'argument "{column.name}" is {column.sql_type}, and {origin} takes '
                f"{SQL_TYPES[item.dtype][0]} for it (input {item.name}): cast it in the query, or give "
                "'arguments' another type"
            )


def n_features(model: Any) -> int:
    """Return how many columns the graph takes; 0 where it takes any number."""
    widths = [item.width for item in getattr(model, "inputs", ())]
    return sum(widths) if all(widths) else 0
