from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from postgres_ml.contract.exceptions import SpecError, TrainingDataError
from postgres_ml.features.problem import Problem, label_text, label_values, resolve
from support.training import column, make_spec


def solve(sql_type: str, values: list, **changes: Any) -> Problem:
    target = np.array(values, dtype=object if isinstance(values[0], str) else None)
    return resolve(make_spec(**changes), column("target", sql_type), target, [])


@pytest.mark.parametrize(
    ("sql_type", "values", "expected"),
    [
        ("text", ["a", "b"], "binary_classification"),
        ("text", ["a", "b", "c"], "multiclass_classification"),
        ("boolean", [True, False], "binary_classification"),
        ("integer", [0, 1], "binary_classification"),
        ("bigint", list(range(20)), "multiclass_classification"),
        ("bigint", list(range(21)), "regression"),
        ("double precision", [float(i) for i in range(10)], "multiclass_classification"),
        ("numeric", [float(i) for i in range(11)], "regression"),
        ("real", [0.5, 1.0], "regression"),
    ],
)
def test_problem_type_follows_from_type_and_values(sql_type: str, values: list, expected: str) -> None:
    messages: list[str] = []
    target = np.array(values, dtype=object if isinstance(values[0], str) else None)
    problem = resolve(make_spec(), column("target", sql_type), target, messages)
    assert problem.type == expected
    assert len(messages) == 1 and expected in messages[0] and sql_type in messages[0]


def test_default_metrics_and_classes() -> None:
    binary = solve("text", ["yes", "no", "yes"])
    assert (binary.metric, binary.objective, binary.labels) == ("f1", "f1", ("no", "yes"))
    assert binary.encode(np.array(["yes", "no"], dtype=object)).tolist() == [1, 0]
    assert solve("text", ["a", "b", "c"]).metric == "accuracy"
    assert solve("real", [0.5, 1.5]).metric == "mse"


@pytest.mark.parametrize(
    ("sql_type", "values", "changes", "cause"),
    [
        ("text", ["a", "a"], {}, "only one class, 'a'"),
        ("double precision", [1.5, 1.5], {"problem_type": "regression"}, "only one value"),
        ("text", ["a", "b"], {"problem_type": "regression"}, "not a number"),
        ("text", ["a", "b", "c"], {"problem_type": "binary_classification"}, "3 classes"),
        ("double precision", [1.5, np.nan, np.inf], {}, "in 2 of 3 rows"),
        ("text", ["a", "b", "c"], {"hyperparameters": {"num_class": 2}}, "num_class is 2"),
        ("real", [0.5, 1.5], {"objective": "reg:logistic"}, "from 0 to 1"),
        ("real", [0.5, -1.5], {"objective": "reg:squaredlogerror"}, "greater than -1"),
        ("real", [0.5, -1.5], {"objective": "reg:tweedie"}, "isn't in 1 of 2 rows"),
    ],
)
def test_bad_targets_are_refused_with_cause(sql_type: str, values: list, changes: dict, cause: str) -> None:
    with pytest.raises(TrainingDataError, match=cause):
        solve(sql_type, values, **changes)


@pytest.mark.parametrize(
    ("values", "objective", "hint"),
    [
        (["a", "b"], "mse", "f1"),
        (["a", "b", "c"], "f1", "f1_macro"),
        (["a", "b"], "multi:softmax", "binary:"),
        (["a", "b", "c"], "reg:squarederror", "multi:"),
    ],
)
def test_objectives_of_other_problem_types_are_refused(values: list, objective: str, hint: str) -> None:
    with pytest.raises(SpecError, match=hint):
        solve("text", values, objective=objective)


def test_two_classes_make_a_multiclass_problem_binary() -> None:
    messages: list[str] = []
    spec = make_spec(problem_type="multiclass_classification", objective="accuracy")
    problem = resolve(spec, column("target", "text"), np.array(["a", "b"], dtype=object), messages)
    assert (problem.type, problem.metric) == ("binary_classification", "accuracy")
    assert "two classes" in messages[0]


def test_labels_look_as_postgres_prints_them() -> None:
    assert [label_text(v) for v in (True, False, 3, 1.5, "it's")] == ["true", "false", "3", "1.5", "it's"]


def test_whole_numbers_of_type_numeric_are_integer_labels() -> None:
    assert label_values(np.array([1.0, 2.0]), "numeric").tolist() == [1, 2]
    assert label_values(np.array([1.0, 2.5]), "numeric").tolist() == [1.0, 2.5]
    assert label_values(np.array([1.0, 2.0]), "real").dtype == np.float64
