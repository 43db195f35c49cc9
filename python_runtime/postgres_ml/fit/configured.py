"""A fit without auto: the one estimator and the preprocessing that the config names.

Input: the task and rows. Output: a fitted scikit-learn Pipeline, from the query's columns to the prediction.
"""

from __future__ import annotations

import ast
import functools
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import sklearn
import xgboost
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import IsolationForest
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import has_fit_parameter

from postgres_ml.components.additive import AdditiveClassifier, AdditiveRegressor
from postgres_ml.components.anomaly import AnomalyDetector
from postgres_ml.components.estimators import LabelEncodedClassifier
from postgres_ml.contract.config import ColumnSet, TrainingSpec
from postgres_ml.contract.exceptions import SpecError, TrainingDataError
from postgres_ml.features.column_facts import count_texts, fit_categories
from postgres_ml.features.configured import incomplete
from postgres_ml.features.feature_columns import MAX_CATEGORIES, FeatureColumns
from postgres_ml.features.preprocess import (
    MIN_CATEGORY_ROWS,
    additive_columns,
    category_places,
    feature_types,
    given_columns,
    linear_columns,
    tree_columns,
)
from postgres_ml.features.problem import Problem
from postgres_ml.fit import hyperparameters
from postgres_ml.fit.candidates import Candidate, linear_model
from postgres_ml.fit.constraints import translated
from postgres_ml.fit.stop import StopAtDeadline, stoppable_network
from postgres_ml.fit.task import Deadline, Task, weights
from postgres_ml.process.memory import is_shortage
from postgres_ml.snapshot.rows import TrainingRows

#: model types without a target, and how they scale numbers: distances need one scale, trees none
OWN_SCALING: dict[str, tuple[str, ...]] = {"kmeans": ("StandardScaler",), "isolation_forest": ()}
TAKES_MISSING = ("xgboost", "isolation_forest", "additive")
# one category against the others at each split: the trees of one-hot columns, at less held-out loss than sets
ONE_BY_ONE = {"max_cat_to_onehot": MAX_CATEGORIES + 2}


def configured_candidate(spec: TrainingSpec, problem: Problem) -> Candidate:
    """Return the one candidate: the library's defaults except `hyperparameters`.

    Raises
    ------
    SpecError
        A hyperparameter that doesn't exist, or not for this problem type.
    """
    model_type = spec.model_types[0]
    parameters = hyperparameters.check(model_type, spec.hyperparameters).values
    parameters.pop("num_class", None)  # checked against the classes seen; the library counts them itself
    if model_type == "xgboost" and ":" in problem.objective:
        parameters["objective"] = _library_objective(problem)
    if model_type == "linear_learner":
        known = linear_model(problem, {}).get_params()
        wrong = [name for name in parameters if name not in known]
        if wrong:
            names = (item.library_name for item in hyperparameters.LINEAR.values())
            available = ", ".join(name for name in names if name in known)
            raise SpecError(
                f"linear_learner has no {', '.join(wrong)} for a {problem.type}; it has {available}"
            )
    return Candidate(model_type, model_type, parameters)


def _library_objective(problem: Problem) -> str:
    if problem.objective.startswith("multi:"):
        # softmax and softprob grow the same trees; only softprob tells probabilities
        return "multi:softprob" if len(problem.classes) > 2 else "binary:logistic"
    return problem.objective


def fit(
    task: Task,
    candidate: Candidate,
    rows: TrainingRows,
    deadline: Deadline | None = None,
) -> Pipeline:
    """Return a new pipeline fitted on the rows.

    Parameters
    ----------
    deadline : boosting and networks end there, with what they have learned; None lets them finish

    Raises
    ------
    SpecError
        The library refuses a hyperparameter's value.
    TrainingDataError
        Missing values for a step that takes none, or more clusters than different rows.
    """
    _check_weights(candidate.model_type, rows)
    check_missing(task, candidate.model_type, rows)
    columns = columns_of(task, candidate)
    candidate = _by_position(candidate, columns, rows)
    estimator = estimator_of(task, candidate, deadline)
    pipeline = Pipeline([("columns", columns), ("estimator", estimator)])
    if task.problem.is_clustering:
        _check_k(candidate.parameters["n_clusters"], rows)
    if task.problem.is_anomaly_detection:
        _check_max_samples(candidate.parameters.get("max_samples", "auto"), len(rows))
    target = rows.target.astype(float) if task.problem.is_regression else rows.target
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Training interrupted by user")  # how a network ends in time
            frame = frame_to_fit(task, candidate, rows)
            if _learns_categories_only(task, candidate):
                counts = {name: count_texts(frame[name]) for name in task.columns.texts}
                fit_categories(columns, counts, frame, MIN_CATEGORY_ROWS)
                estimator.fit(
                    columns.transform(frame),
                    target,
                    **({} if rows.weight is None else {"sample_weight": rows.weight}),
                )
            else:
                pipeline.fit(frame, target, **weights(rows))
    except (xgboost.core.XGBoostError, ValueError) as error:
        if is_shortage(error):
            raise
        reason = str(error).strip().splitlines()[0]
        raise SpecError(f"{candidate.model_type} rejects these hyperparameters: {reason}") from error
    if task.problem.is_clustering:
        _check_clusters(pipeline)
    return pipeline


def _learns_categories_only(task: Task, candidate: Candidate) -> bool:
    """Return whether the preprocessing learns nothing from the rows but the categories of texts."""
    columns = task.columns
    if columns.sets is not None or columns.words or not columns.texts:
        return False
    return candidate.model_type == "additive" or takes_categories(candidate)


def frame_to_fit(task: Task, candidate: Candidate, rows: TrainingRows) -> pd.DataFrame:
    """Return the rows' frame; for xgboost with numbers as float32, which is what it makes of them.

    So the copies on the way to it are half as large. Configured preprocessing computes in double precision.
    """
    if candidate.model_type != "xgboost" or task.columns.sets is not None:
        return rows.frame
    return narrow(rows.frame)


def narrow(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with numbers as float32."""
    return frame.astype(dict.fromkeys(frame.columns[frame.dtypes == np.float64], np.float32))


def _by_position(candidate: Candidate, columns: Any, rows: TrainingRows) -> Candidate:
    """Return the candidate with what names columns translated to those that the preprocessing makes."""
    if not any(name in candidate.parameters for name in hyperparameters.BY_COLUMN):
        return candidate
    fitted = clone(columns).fit(rows.frame)
    return replace(candidate, parameters=translated(candidate.parameters, list(rows.frame), fitted))


def columns_of(task: Task, candidate: Candidate) -> Any:
    """Return the unfitted preprocessing: the configured one, or the least that the model needs."""
    columns, model_type = task.columns, candidate.model_type
    if model_type == "additive":
        return additive_columns(columns)
    fill = model_type not in TAKES_MISSING
    if columns.sets is None and model_type in OWN_SCALING:
        columns = replace(columns, sets=unsupervised_sets(columns, OWN_SCALING[model_type]))
    if columns.sets is not None:
        return given_columns(columns, fill=fill, sparse=model_type == "linear_learner")
    return linear_columns(columns) if fill else tree_columns(columns, codes=takes_categories(candidate))


def takes_categories(candidate: Candidate) -> bool:
    """Return whether the candidate is an xgboost whose trees split categories by their codes.

    Those of tree_method exact, of several outputs a leaf and of updaters named one by one know numbers alone.
    """
    parameters = candidate.parameters
    return (
        candidate.model_type == "xgboost"
        and parameters.get("tree_method") != "exact"
        and parameters.get("multi_strategy") != "multi_output_tree"
        and "updater" not in parameters
    )


def unsupervised_sets(columns: FeatureColumns, scaling: tuple[str, ...]) -> tuple[ColumnSet, ...]:
    """Return the preprocessing of a model without a target: the mean for missing numbers, then scaling."""
    dates = tuple(name for name in columns.numbers if columns.kinds.get(name) not in ("number", "boolean"))
    numbers = tuple(name for name in columns.numbers if name not in dates)
    sets = (
        ColumnSet(numbers, ("Imputer", *scaling)),
        ColumnSet(dates, ("DateTimeVectorizer", "Imputer", *scaling)),
        ColumnSet(columns.texts, ("OneHotEncoder",)),
    )
    return tuple(item for item in sets if item.columns)


def estimator_of(task: Task, candidate: Candidate, deadline: Deadline | None) -> Any:
    """Return the candidate's unfitted estimator, of labels or values."""
    problem, parameters = task.problem, candidate.parameters
    seeded = {"random_state": task.spec.settings.seed, **parameters}
    if candidate.model_type == "kmeans":
        return KMeans(**seeded)
    if candidate.model_type == "isolation_forest":
        forest = IsolationForest(n_jobs=task.n_threads, **seeded)
        return AnomalyDetector(forest, task.spec.has_anomaly_rule)
    if candidate.model_type == "additive":
        estimator = _additive(task, seeded, deadline)
    elif candidate.model_type == "linear_learner":
        estimator = linear_model(problem, parameters)
    elif candidate.model_type == "mlp":
        network = MLPRegressor if problem.is_regression else MLPClassifier
        estimator = (network if deadline is None else stoppable_network(network, deadline))(**seeded)
        if problem.is_regression:  # its steps are sized for targets around 1
            return TransformedTargetRegressor(regressor=estimator, transformer=StandardScaler())
    else:
        library = xgboost.XGBRegressor if problem.is_regression else xgboost.XGBClassifier
        callbacks = None if deadline is None else [StopAtDeadline(deadline)]
        if takes_categories(candidate) and task.columns.sets is None and task.columns.texts:
            types = feature_types(task.columns, problem, means=False)
            seeded = {"enable_categorical": True, "feature_types": types, **ONE_BY_ONE, **seeded}
        estimator = library(n_jobs=task.n_threads, verbosity=1, callbacks=callbacks, **seeded)
    return estimator if problem.is_regression else LabelEncodedClassifier(estimator)


def _additive(
    task: Task, parameters: dict[str, Any], deadline: Deadline | None
) -> AdditiveClassifier | AdditiveRegressor:
    constraints = parameters.get("monotone_constraints")
    if constraints is not None:  # as xgboost takes it
        parameters = {**parameters, "monotone_constraints": ast.literal_eval(constraints)}
    library = AdditiveRegressor if task.problem.is_regression else AdditiveClassifier
    return library(
        categorical=category_places(task.columns),
        n_jobs=task.n_threads,
        is_late=None if deadline is None else functools.partial(getattr, deadline, "passed"),
        **parameters,
    )


def _check_weights(model_type: str, rows: TrainingRows) -> None:
    """Refuse weights for scikit-learn's networks where they take none: before release 1.7."""
    if rows.weight is None or model_type != "mlp" or has_fit_parameter(MLPRegressor(), "sample_weight"):
        return
    raise SpecError(
        f"weight: model_type mlp without auto takes none in scikit-learn {sklearn.__version__}, but from 1.7 "
        "on: update it, or use auto: true, whose networks take them"
    )


def check_missing(task: Task, model_type: str, rows: TrainingRows) -> None:
    """Refuse missing values that the configured preprocessing would hand to a step that takes none."""
    columns = task.columns
    if columns.sets is None:
        return
    needs_all = model_type not in TAKES_MISSING
    if columns.sets == ():
        found = dict.fromkeys(columns.kinds, "") if needs_all else {}
    else:
        found = incomplete(columns.sets, columns.kinds, needs_all=needs_all)
    problems = []
    for name, step in found.items():
        missing = int(rows.frame[name].isna().sum()) if name in rows.frame else 0
        if missing:
            problems.append(
                f'column "{name}" is NULL in {missing:,} rows, and {step or model_type} takes no missing '
                "values: put an Imputer before"
            )
    if problems:
        raise TrainingDataError("; ".join(problems))


def _check_k(k: int, rows: TrainingRows) -> None:
    if k > len(rows):
        raise TrainingDataError(f"k is {k:,}, more than the {len(rows):,} rows to train on")


def _check_max_samples(chosen: float | int | str, n_rows: int) -> None:
    """Refuse what scikit-learn would silently lower, and trees of a single row, which isolate nothing."""
    if isinstance(chosen, int) and chosen > n_rows:
        raise TrainingDataError(
            f"max_samples is {chosen:,}, more than the {n_rows:,} rows to train on: lower it, or 1.0 for all"
        )
    if isinstance(chosen, float) and int(chosen * n_rows) < 2:
        raise TrainingDataError(
            f"max_samples is {chosen:g}, less than two of the {n_rows:,} rows to train on: raise it, or give "
            "a whole number of rows"
        )


def _check_clusters(pipeline: Pipeline) -> None:
    kmeans = pipeline[-1]
    found = len(np.unique(kmeans.labels_))
    if found < kmeans.n_clusters:
        raise TrainingDataError(
            f"k is {kmeans.n_clusters:,}, but the rows to train on have only {found:,} different points: "
            "lower k"
        )
