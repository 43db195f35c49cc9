"""The signature of an external model: its arguments, its labels and what it returns.

Input: the model, the config, MLflow's signature. Output: `Signature`, or an error that says what doesn't fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import ClusterMixin, RegressorMixin

from postgres_ml.contract.column import STRINGS, Column, as_arguments
from postgres_ml.contract.config import ProblemType, TrainingSpec
from postgres_ml.contract.exceptions import SpecError
from postgres_ml.external import onnx_file
from postgres_ml.external.load import Loaded
from postgres_ml.external.returns import check_labels, check_number
from postgres_ml.verify.refusals import several_outputs


@dataclass(frozen=True)
class Signature:
    """What a function of the model takes and returns.

    Parameters
    ----------
    columns : what the model reads, of the types that the config, the query or MLflow's signature says
    labels : of a classifier, in the order of its probabilities; () otherwise
    """

    columns: tuple[Column, ...]
    returns: str
    problem_type: ProblemType
    labels: tuple[Any, ...]
    has_probabilities: bool

    @property
    def arguments(self) -> tuple[Column, ...]:
        """The columns as arguments of the function."""
        return as_arguments(self.columns)


def describe(
    spec: TrainingSpec, loaded: Loaded, of_query: Sequence[Column], target: Column | None
) -> Signature:
    """Return the signature.

    Parameters
    ----------
    of_query, target : the query's columns; () and None without a query

    Raises
    ------
    SpecError
        The arguments are unknown, or don't fit the model.
    """
    columns = arguments(spec, loaded, of_query)
    classes = getattr(loaded.model, "classes_", None)
    if isinstance(classes, list) and loaded.pyfunc is None:  # an array for each output
        raise SpecError(several_outputs(len(classes)))
    labels = tuple(np.asarray(classes).tolist()) if classes is not None and loaded.pyfunc is None else ()
    problem, returns = _prediction(loaded, labels, target)
    returns = spec.returns or returns
    if labels:
        check_labels(returns, labels)
    elif loaded.pyfunc is not None and returns in (*STRINGS, "boolean"):
        problem = "multiclass_classification"  # its labels nobody knows before it predicts
    else:
        check_number(returns)
    has_probabilities = bool(labels) and hasattr(loaded.model, "predict_proba")
    return Signature(columns, returns, problem, labels, has_probabilities)


def arguments(spec: TrainingSpec, loaded: Loaded, of_query: Sequence[Column]) -> tuple[Column, ...]:
    """Return the function's arguments: those of the config, of the query, or of MLflow's signature.

    Raises
    ------
    SpecError
        They are unknown, or don't fit the model or the query.
    """
    columns = tuple(spec.arguments or of_query or loaded.columns)
    names = feature_names(loaded.model)
    if not columns:
        cause = (
            f"the signature of {loaded.origin} has inputs that no SQL type fits: {loaded.untyped}"
            if loaded.untyped
            else f"the arguments of the function are unknown because {loaded.origin} has no MLflow signature"
        )
        typed = ", ".join(f"{name} float8" for name in names or ("spend", "calls"))
        raise SpecError(f"{cause}: set 'arguments' to names and types, such as '{typed}'")
    check_columns(loaded, columns, names)
    onnx_file.check_types(loaded.origin, loaded.model, columns)
    selected = {column.name for column in of_query}
    missing = [column.name for column in spec.arguments if column.name not in selected]
    if of_query and missing:
        raise SpecError(f"the query has no column for {', '.join(missing)} of 'arguments'")
    return columns


def _prediction(loaded: Loaded, labels: Sequence[Any], target: Column | None) -> tuple[ProblemType, str]:
    """Return what kind of prediction the model makes, and its SQL type where the config names none."""
    if labels:
        problem: ProblemType = "binary_classification" if len(labels) == 2 else "multiclass_classification"
        return problem, target.sql_type if target else label_type(labels)
    if isinstance(loaded.model, ClusterMixin):
        return "clustering", "integer"
    if loaded.pyfunc is None and isinstance(loaded.model, RegressorMixin):
        return "regression", "double precision"
    return "regression", loaded.returns or "double precision"


def feature_names(model: Any) -> tuple[str, ...]:
    """Return the names of the columns that the model was fitted on; () where it has none."""
    names = getattr(model, "feature_names_in_", None)
    if names is None:
        names = getattr(model, "feature_name_", None)  # lightgbm's estimators before 4.5
    if names is None and hasattr(model, "feature_name") and callable(model.feature_name):
        names = model.feature_name()  # lightgbm's Booster
    if names is None:
        names = [column.name for column in onnx_file.arguments_of(model)]
    return tuple(str(name) for name in names)


def are_invented(names: Sequence[str]) -> bool:
    """Return whether these are the names that xgboost or lightgbm gives a matrix's columns, in their order.

    Only then do positions decide, and only if no argument has such a name. A column that somebody called f_2,
    or f1 before f0, is found by its name.
    """
    return any(list(names) == [f"{stem}{i}" for i in range(len(names))] for stem in ("f", "Column_"))


def check_columns(loaded: Loaded, columns: Sequence[Column], names: Sequence[str]) -> None:
    """Check that the arguments are those that the model was fitted on, in its order.

    Raises
    ------
    SpecError
        Says both.
    """
    given = [column.name for column in columns]
    if names and list(names) != given and not (are_invented(names) and set(names).isdisjoint(given)):
        detail = "them in another order" if sorted(names) == sorted(given) else "other ones"
        raise SpecError(
            f"the function's arguments are {', '.join(given)}, but {loaded.origin} was fitted on {detail}: "
            f"{', '.join(names)}"
        )
    n = (
        len(names)
        or onnx_file.n_features(loaded.model)
        or getattr(loaded.model, "n_features_in_", len(given))
    )
    if n != len(given):
        raise SpecError(
            f"the function has {len(given)} arguments ({', '.join(given)}), and {loaded.origin} takes {n} "
            "features"
        )


def label_type(labels: Sequence[Any]) -> str:
    """Return the SQL type of labels: boolean, integer, bigint, double precision or text."""
    if all(isinstance(label, bool) for label in labels):
        return "boolean"
    if all(isinstance(label, int) for label in labels):
        return "integer" if max(map(abs, labels)) < 2**31 else "bigint"
    if all(isinstance(label, int | float) for label in labels):
        return "integer" if all(float(label).is_integer() for label in labels) else "double precision"
    return "text"
