"""A candidate fitted as a whole pipeline, from the query's columns to the labels.

Input: what `search` chose, and rows. Output: a scikit-learn Pipeline.
"""

from __future__ import annotations

import dataclasses
import functools
import warnings
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import FeatureUnion, Pipeline

from postgres_ml.components.estimators import BlendedClassifier, BlendedRegressor, LabelEncodedClassifier
from postgres_ml.components.stacking import OutOfFoldScores
from postgres_ml.features.preprocess import (
    category_places,
    encoded_columns,
    feature_types,
    linear_columns,
    tree_columns,
)
from postgres_ml.features.problem import Problem
from postgres_ml.fit import configured
from postgres_ml.fit.candidates import N_NETWORKS, Member, build_estimator, reseeded
from postgres_ml.fit.choice import Choice
from postgres_ml.fit.stop import LateAt, StopAtDeadline, StopAtSize, forget_clock
from postgres_ml.fit.task import Deadline, Task, weights
from postgres_ml.snapshot.rows import TrainingRows


def fit_pipeline(task: Task, choice: Choice, rows: TrainingRows, deadline: Deadline | None) -> Pipeline:
    """Return a new pipeline fitted on the rows: columns to numbers, then the estimator.

    A blend is one step that takes the columns themselves, since its members encode them differently; so is a
    stack, whose columns are fitted on class codes as well.

    Parameters
    ----------
    deadline : boosting and networks end there, with the trees and epochs so far

    Raises
    ------
    SpecError, TrainingDataError
        As `configured.fit` says.
    """
    if choice.code is not None:
        return choice.code.fit(task.spec.target, task.problem.is_regression, rows, task.spec.weight)
    if not task.spec.auto:
        pipeline = configured.fit(task, choice.candidate, rows, deadline)
        forget_clock(pipeline)
        return pipeline
    takes_frame = bool(choice.members or choice.candidate.below)
    if choice.members:
        pipeline = Pipeline([("estimator", _labelled(task, choice, _blend(task, choice, deadline)))])
    else:
        member = Member(choice.candidate, choice.n_trees)
        pipeline = member_pipeline(task, member, task.n_threads, deadline)
        if takes_frame:
            pipeline = Pipeline([("estimator", _labelled(task, choice, pipeline))])
        else:
            pipeline.steps[-1] = ("estimator", _labelled(task, choice, pipeline[-1]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # iterations were limited on purpose
        pipeline.fit(
            rows.frame if takes_frame else configured.frame_to_fit(task, choice.candidate, rows),
            rows.target,
            **weights(relative(rows)),
        )
    forget_clock(pipeline)
    return pipeline


def relative(rows: TrainingRows) -> TrainingRows:
    """Return the rows with weights of mean 1: what the search's candidates penalize follows from that."""
    return rows if rows.weight is None else dataclasses.replace(rows, weight=rows.weight / rows.weight.mean())


def member_pipeline(task: Task, member: Member, n_threads: int, deadline: Deadline | None) -> Pipeline:
    """Return an unfitted pipeline of one candidate, for class codes or numbers."""
    candidate = member.candidate
    if candidate.below:
        return _stacked_pipeline(task, member, deadline)
    more: dict[str, Any] = {}
    if candidate.model_type == "mlp":
        more = {"stop_epoch": member.n_rounds}
        if deadline is not None:
            more["is_late"] = functools.partial(getattr, deadline, "passed")
    elif candidate.model_type == "additive":
        more = {"categorical": category_places(task.columns)}
        if deadline is not None:
            more["is_late"] = LateAt(deadline)
    elif candidate.model_type == "xgboost":
        more = {} if member.n_rounds is None else {"n_estimators": member.n_rounds}
        if deadline is not None:
            more["callbacks"] = [StopAtDeadline(deadline)]
        if task.spec.explain:
            more["callbacks"] = [*more.get("callbacks", ()), StopAtSize()]
        if candidate.encoding == "codes":
            types = feature_types(task.columns, task.problem)
            more |= {"enable_categorical": True, "feature_types": types}
    estimator = build_estimator(candidate, task.problem, task.spec.settings.seed, n_threads, **more)
    if candidate.encoding:
        columns = encoded_columns(candidate.encoding, task.columns, task.problem)
    else:
        columns = linear_columns(task.columns) if candidate.is_linear else tree_columns(task.columns)
    return Pipeline([("columns", columns), ("estimator", estimator)])


def _stacked_pipeline(task: Task, member: Member, deadline: Deadline | None) -> Pipeline:
    """Return an unfitted pipeline of networks on columns and on other candidates' scores."""
    network = dataclasses.replace(member.candidate, below=())
    scores = OutOfFoldScores(
        [
            (f"{number} {one.candidate.name}", member_pipeline(task, one, 1, deadline))
            for number, one in enumerate(member.candidate.below, 1)
        ],
        task.problem.is_regression,
        random_state=task.spec.settings.seed,
        n_jobs=task.n_threads,
    )
    parts = [
        member_pipeline(task, dataclasses.replace(member, candidate=reseeded(network, number)), 1, deadline)
        for number in range(N_NETWORKS)
    ]
    columns = FeatureUnion([("columns", parts[0]["columns"]), ("scores", scores)])
    networks = [(f"network {number}", part["estimator"]) for number, part in enumerate(parts, 1)]
    blend = BlendedRegressor if task.problem.is_regression else BlendedClassifier
    estimator = blend(networks, [1.0] * N_NETWORKS, n_jobs=min(task.n_threads, N_NETWORKS))
    return Pipeline([("columns", columns), ("estimator", estimator)])


def fold_pipeline(task: Task, choice: Choice, training: TrainingRows) -> Pipeline:
    """Return the choice as the search fitted it on one fold, as a pipeline like those of `fit_pipeline`.

    Parameters
    ----------
    training : the rows that the search had, for encodings that were not kept
    """
    codes = task.problem.encode(training.target)
    parts = []
    for fit in choice.fold_fits:
        columns = fit.columns
        if columns is None and task.columns.without_words().kinds:
            columns = encoded_columns(fit.candidate.encoding, task.columns, task.problem, words=False)
            columns.fit(training.frame, codes)
        if fit.words is not None:
            both = [("columns", columns), ("words", fit.words)]
            columns = fit.words if columns is None else FeatureUnion(both)
        parts.append(Pipeline([("columns", columns), ("estimator", fit.estimator)]))
    if len(parts) == 1:
        (pipeline,) = parts
        pipeline.steps[-1] = (
            "estimator",
            known(task.problem, _labelled(task, choice, pipeline[-1]), pipeline[-1]),
        )
        return pipeline
    blend = BlendedRegressor if task.problem.is_regression else BlendedClassifier
    names = [f"{number} {fit.candidate.name}" for number, fit in enumerate(choice.fold_fits, 1)]
    fitted = blend(list(zip(names, parts, strict=True)), [fit.weight for fit in choice.fold_fits])
    fitted.estimators_, fitted.weights_ = parts, list(fitted.weights)
    if not task.problem.is_regression:
        fitted.classes_ = np.arange(len(task.problem.classes))
    return Pipeline([("estimator", known(task.problem, _labelled(task, choice, fitted), fitted))])


def known(problem: Problem, labelled: Any, estimator: Any) -> Any:
    """Return a fitted estimator of class codes as one of labels.

    Parameters
    ----------
    labelled : an unfitted `LabelEncodedClassifier`; of a regression the estimator itself
    """
    if labelled is not estimator:
        labelled.classes_, labelled.estimator_ = problem.classes, estimator
        if hasattr(estimator, "n_features_in_"):
            labelled.n_features_in_ = estimator.n_features_in_
    return labelled


def _blend(task: Task, choice: Choice, deadline: Deadline | None) -> BlendedClassifier | BlendedRegressor:
    n_jobs = min(task.n_threads, len(choice.members))
    n_threads = task.n_threads // n_jobs
    members = [
        (f"{number} {member.candidate.name}", member_pipeline(task, member, n_threads, deadline))
        for number, member in enumerate(choice.members, 1)
    ]
    blend = BlendedRegressor if task.problem.is_regression else BlendedClassifier
    return blend(members, [member.weight for member in choice.members], n_jobs=n_jobs)


def _labelled(task: Task, choice: Choice, estimator: Any) -> Any:
    if task.problem.is_regression:
        return estimator
    return LabelEncodedClassifier(estimator, choice.threshold, choice.class_multipliers or None)
