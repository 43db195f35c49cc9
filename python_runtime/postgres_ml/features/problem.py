"""The problem type that the target makes, and whether its values can be learned.

Input: the job's config and the labelled rows. Output: `Problem`, and what the user should know.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from postgres_ml.contract.column import Column
from postgres_ml.contract.config import ProblemType, TrainingSpec
from postgres_ml.contract.exceptions import SpecError, TrainingDataError
from postgres_ml.snapshot.query import INTEGER_TYPES, MAX_NUMERIC_CLASSES
from postgres_ml.snapshot.rows import Array

MAX_INTEGRAL_CLASSES = 10  # of a numeric or floating-point target whose values are all whole numbers
LARGEST_INTEGER = 2.0**63  # int64 holds what is less
DEFAULT_METRIC = {
    "regression": "mse",
    "binary_classification": "f1",
    "multiclass_classification": "accuracy",
    "clustering": "inertia",
    "anomaly_detection": "anomaly_share",
}
METRICS_OF = {
    "regression": ("mse",),
    "binary_classification": ("accuracy", "f1", "f1_macro", "auc"),
    "multiclass_classification": ("accuracy", "f1_macro", "auc"),
}
OBJECTIVE_FAMILY = {
    "regression": ("reg:", "count:"),
    "binary_classification": ("binary:",),
    "multiclass_classification": ("multi:",),
}


@dataclass(frozen=True)
class Problem:
    """What is predicted.

    Parameters
    ----------
    type : the problem type
    metric : chosen by, and the score on the card
    objective : as configured, or the metric
    classes : distinct labels in sorted order; empty for regression. Of two, the later is the positive one
    quantile : that a regression predicts, 0 to 1; None where it predicts a mean, or what its objective says
    """

    type: ProblemType
    metric: str
    objective: str
    classes: Array
    quantile: float | None = None

    @property
    def is_regression(self) -> bool:
        """Whether a number is predicted."""
        return self.type == "regression"

    @property
    def is_clustering(self) -> bool:
        """Whether rows are grouped, without a target."""
        return self.type == "clustering"

    @property
    def is_anomaly_detection(self) -> bool:
        """Whether a score says how unusual a row is, without a target."""
        return self.type == "anomaly_detection"

    @property
    def has_target(self) -> bool:
        """Whether there is something to compare predictions with."""
        return not (self.is_clustering or self.is_anomaly_detection)

    @property
    def is_classification(self) -> bool:
        """Whether a label is predicted."""
        return self.has_target and not self.is_regression

    @property
    def has_probabilities(self) -> bool:
        """Whether the estimator knows how sure it is; a hinge loss leaves only the side of the margin."""
        return self.is_classification and self.objective != "binary:hinge"

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes as text, as Postgres prints them."""
        return tuple(label_text(label) for label in self.classes.tolist())

    def encode(self, target: Array) -> Array:
        """Return class codes (int64), the target as float64 for a regression, zeros without a target."""
        if self.is_regression:
            return target.astype(np.float64)
        if not self.has_target:
            return np.zeros(len(target), np.int64)
        codes: Array = np.searchsorted(self.classes, target)
        return codes


def label_text(label: object) -> str:
    """Return the label as Postgres prints it: true, 3, 1.5, yes."""
    if isinstance(label, Decimal):
        return format(label, "f")
    return str(label).lower() if isinstance(label, bool) else str(label)


def label_values(target: Array, sql_type: str) -> Array:
    """Return labels in the type that the function returns: whole numbers of type numeric are integers.

    Those beyond 64 bits stay what they are: Decimals, or float64 where doubles print them exactly.
    """
    if target.dtype == object and sql_type == "numeric" and not all(value.is_finite() for value in target):
        return target.astype(np.float64)  # which is refused by name
    if sql_type != "numeric" or not len(target) or not _are_whole(target):
        return target
    if float(np.abs(target).max()) >= LARGEST_INTEGER:
        return target
    return np.array(list(map(int, target)), np.int64) if target.dtype == object else target.astype(np.int64)


def _are_whole(values: Array) -> bool:
    if values.dtype == object:  # Decimals
        return all(value == value.to_integral_value() for value in values)
    return bool(np.all(values == np.floor(values)))


def return_type(problem: Problem, column: Column | None) -> str:
    """Return the SQL type of the prediction: labels have the target's own."""
    if problem.is_regression or problem.is_anomaly_detection:
        return "double precision"
    return "integer" if column is None else column.sql_type


def resolve(spec: TrainingSpec, column: Column | None, target: Array, messages: list[str]) -> Problem:
    """Return the problem; append why it was chosen to `messages`.

    Without a target it is a clustering, or what the config's model type says.

    Raises
    ------
    TrainingDataError
        The target's values don't fit the problem type: text in a regression, NaN, one class only…
    SpecError
        The objective belongs to another problem type.
    """
    if column is None:
        unsupervised = spec.problem_type or "clustering"
        metric = DEFAULT_METRIC[unsupervised]
        if metric == "anomaly_share" and not spec.has_anomaly_rule:
            metric = "score_mean"
        return Problem(unsupervised, metric, metric, target[:0])
    check_finite(column, target)
    distinct = np.unique(target)
    problem_type = spec.problem_type
    if problem_type is None:
        problem_type, reason = infer(column, distinct)
        messages.append(f'problem_type is {problem_type}: target "{column.name}" {reason}')
    _check_values(spec, column, problem_type, distinct)
    metric = _metric(spec, problem_type)
    _check_objective_range(spec, column, target)
    classes = distinct[:0] if problem_type == "regression" else distinct
    if problem_type == "multiclass_classification" and len(classes) == 2:
        messages.append(f'target "{column.name}" has two classes: trained as binary_classification')
        problem_type = "binary_classification"
        metric = metric if spec.objective in METRICS_OF[problem_type] else DEFAULT_METRIC[problem_type]
    return Problem(problem_type, metric, spec.objective or metric, classes, spec.quantile)


def check_interval(spec: TrainingSpec, problem: Problem) -> None:
    """Check that there is a number for the config's interval to be around.

    Raises
    ------
    SpecError
        The target makes a classification.
    """
    if spec.interval is not None and not problem.is_regression:
        raise SpecError(
            f'interval: {spec.interval:g} is of a number that is predicted, but target "{spec.target}" '
            f"makes a {problem.type}: set problem_type: regression if it measures, or leave 'interval' out "
            "and call predict_probabilities() for how sure the model is"
        )


def infer(column: Column, distinct: Array) -> tuple[ProblemType, str]:
    """Return the problem type that the target's type and distinct values suggest, and why.

    Text and booleans are classes. Whole numbers are classes when they are few: at most 20 values of an
    integer type, at most 10 of numeric, real and double precision. Everything else is a regression.
    """
    n = len(distinct)
    if column.kind == "number":
        limit = MAX_NUMERIC_CLASSES if column.sql_type in INTEGER_TYPES else MAX_INTEGRAL_CLASSES
        if not _are_whole(distinct):
            return "regression", f"is {column.sql_type} with fractions"
        if n > limit:
            return "regression", f"is {column.sql_type} with {n:,} values"
        reason = (
            f"is {column.sql_type} with only {n} whole values; set problem_type to regression if they measure"
        )
    else:
        reason = f"is {column.sql_type} with {n} values"
    return ("binary_classification" if n <= 2 else "multiclass_classification"), reason


def check_finite(column: Column, target: Array) -> None:
    """Check that a target's numbers are finite.

    Raises
    ------
    TrainingDataError
        Says in how many rows they are not.
    """
    if target.dtype.kind != "f":
        return
    wrong = int(np.count_nonzero(~np.isfinite(target)))
    if wrong:
        raise TrainingDataError(
            f'target "{column.name}" is NaN or infinite in {wrong:,} of {len(target):,} rows; '
            f"leave them out: where \"{column.name}\" not in ('NaN', 'Infinity', '-Infinity')"
        )


def _check_values(spec: TrainingSpec, column: Column, problem_type: str, distinct: Array) -> None:
    shown = ", ".join(repr(label_text(label)) for label in distinct[:5].tolist())
    name = f'target "{column.name}" ({column.sql_type})'
    if problem_type == "regression":
        if column.kind != "number" and (column.kind, spec.objective) != ("boolean", "reg:logistic"):
            raise TrainingDataError(
                f"{name} is not a number, but problem_type is regression: cast the target, "
                "or change problem_type"
            )
        if len(distinct) == 1:
            raise TrainingDataError(f"{name} has only one value, {shown}, so there is nothing to learn")
        return
    if len(distinct) == 1:
        raise TrainingDataError(
            f"{name} has only one class, {shown}; two are needed. Does a where clause drop the other?"
        )
    if problem_type == "binary_classification" and len(distinct) > 2:
        raise TrainingDataError(
            f"{name} has {len(distinct):,} classes ({shown}, …), but problem_type is binary_classification: "
            "use multiclass_classification, or reduce them to two"
        )
    num_class = spec.hyperparameters.get("num_class")
    if num_class is not None and int(float(num_class)) < len(distinct):
        raise TrainingDataError(
            f"hyperparameter num_class is {num_class}, but {name} has {len(distinct):,} classes"
        )


def _metric(spec: TrainingSpec, problem_type: str) -> str:
    objective = spec.objective
    if objective is None:
        return DEFAULT_METRIC[problem_type]
    family = OBJECTIVE_FAMILY[problem_type]
    if ":" in objective:
        if not objective.startswith(family):
            raise SpecError(
                f"objective {objective!r} doesn't fit problem_type {problem_type}: "
                f"use one that begins with {' or '.join(family)}"
            )
        return "pinball" if spec.quantile is not None else DEFAULT_METRIC[problem_type]
    if objective not in METRICS_OF[problem_type]:
        raise SpecError(
            f"objective {objective!r} doesn't fit problem_type {problem_type}: "
            f"use {', '.join(METRICS_OF[problem_type])}"
        )
    return objective


RANGES: dict[str, tuple[float, float, str]] = {
    "reg:logistic": (0.0, 1.0, "from 0 to 1"),
    "reg:squaredlogerror": (float(np.nextafter(-1.0, 0.0)), np.inf, "greater than -1"),
    "reg:tweedie": (0.0, np.inf, "not negative"),
    "count:poisson": (0.0, np.inf, "not negative"),
    "reg:gamma": (float(np.nextafter(0.0, 1.0)), np.inf, "greater than 0"),
}


def _check_objective_range(spec: TrainingSpec, column: Column, target: Array) -> None:
    if spec.objective not in RANGES:
        return
    low, high, words = RANGES[spec.objective]
    wrong = int(np.count_nonzero((target < low) | (target > high)))
    if wrong:
        raise TrainingDataError(
            f"objective {spec.objective} needs a target {words}: "
            f'"{column.name}" isn\'t in {wrong:,} of {len(target):,} rows'
        )
