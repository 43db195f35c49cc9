"""Weights of rows: in every fit, loss, threshold and metric as the libraries have them."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn
from postgres_ml import preparation
from postgres_ml.components.estimators import BlendedRegressor, LogTargetRegressor
from postgres_ml.components.neural_network import NetworkClassifier, NetworkRegressor
from postgres_ml.contract.config import Settings
from postgres_ml.contract.exceptions import SpecError, TrainingDataError
from postgres_ml.evaluate import intervals, metrics
from postgres_ml.features.feature_columns import choose_columns
from postgres_ml.features.problem import resolve
from postgres_ml.fit import configured
from postgres_ml.fit.fit import fit_pipeline
from postgres_ml.fit.task import Deadline, Task
from postgres_ml.process.report import Report
from postgres_ml.search import search
from postgres_ml.search.decision_rule import _best_threshold, choose_class_multipliers, choose_threshold
from postgres_ml.snapshot.rows import TrainingRows
from sklearn import metrics as sk
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import has_fit_parameter
from support.training import column, make_job, make_spec
from xgboost import XGBClassifier, XGBRegressor

COLUMNS = (column("x"), column("z"))
RANDOM = np.random.default_rng(0)
N = 240


def drawn(n_classes: int = 0) -> TrainingRows:
    """Rows of which those with x > 0 count up to nine times as much, and follow another rule."""
    x, z = RANDOM.normal(size=(2, N))
    heavy = x > 0
    score = np.where(heavy, 2 * z, -z) + RANDOM.normal(size=N)
    weight = np.where(heavy, RANDOM.integers(5, 10, N), RANDOM.integers(1, 3, N)).astype(float)
    target = score if not n_classes else np.digitize(score, np.linspace(-1, 1, n_classes - 1))
    frame = pd.DataFrame({"x": x, "z": z})
    return TrainingRows(frame, target, np.arange(N, dtype=np.uint64), "0", None, weight)


def repeated(rows: TrainingRows) -> TrainingRows:
    """Return each row as often as its weight says."""
    assert rows.weight is not None
    places = np.repeat(np.arange(len(rows)), rows.weight.astype(int))
    return TrainingRows(
        rows.frame.iloc[places].reset_index(drop=True),
        rows.target[places],
        np.arange(len(places), dtype=np.uint64),
        "0",
    )


def task_for(rows: TrainingRows, **changes: Any) -> Task:
    spec = make_spec("target", weight="w", **({"auto": False} | changes))
    kind = "double precision" if rows.target.dtype.kind == "f" else "integer"
    problem = resolve(spec, column("target", kind), rows.target, [])
    return Task(spec, problem, choose_columns(COLUMNS, rows, []), 1, Deadline(60))


def fitted(rows: TrainingRows, model_type: str, **hyperparameters: Any) -> Pipeline:
    task = task_for(rows, model_types=(model_type,), hyperparameters=hyperparameters)
    return configured.fit(task, configured.configured_candidate(task.spec, task.problem), rows)


@pytest.mark.parametrize("n_classes", [0, 2, 3])
@pytest.mark.parametrize("model_type", ["xgboost", "linear_learner", "mlp"])
def test_a_configured_model_is_the_librarys_with_sample_weight(model_type: str, n_classes: int) -> None:
    rows = drawn(n_classes)
    few = {"max_iter": 30} if model_type == "mlp" else {"n_estimators": 9} if model_type == "xgboost" else {}
    if model_type == "mlp" and not has_fit_parameter(MLPRegressor(), "sample_weight"):
        with pytest.raises(SpecError, match=r"takes none in scikit-learn .* from 1.7 on: update it"):
            fitted(rows, model_type, **few)
        return
    pipeline = fitted(rows, model_type, **few)
    encoded = pipeline[:-1].transform(rows.frame)
    inner = pipeline[-1]
    for name in ("estimator_", "regressor_"):
        inner = getattr(inner, name, inner)
    target = rows.target
    if isinstance(inner, MLPRegressor):
        target = pipeline[-1].transformer_.transform(target[:, None]).ravel()
    alone = sklearn.base.clone(inner).fit(encoded, target, sample_weight=rows.weight)
    raw = "predict_proba" if n_classes else "predict"
    assert np.allclose(getattr(inner, raw)(encoded), getattr(alone, raw)(encoded), rtol=1e-9)
    without = fitted(dataclasses.replace(rows, weight=None), model_type, **few)
    assert not np.allclose(getattr(pipeline, raw)(rows.frame), getattr(without, raw)(rows.frame), rtol=1e-3)


@pytest.mark.parametrize(
    ("estimator", "n_classes"),
    [
        (Ridge(), 0),
        (LogisticRegression(tol=1e-10, max_iter=2000), 2),
        (XGBRegressor(n_estimators=5, tree_method="exact"), 0),
        (XGBClassifier(n_estimators=5, tree_method="exact"), 2),
        (LogTargetRegressor(Ridge()), 1),
        (BlendedRegressor([("a", Ridge()), ("b", Pipeline([("only", Ridge(alpha=9.0))]))], [0.3, 0.7]), 0),
    ],
)
def test_whole_weights_are_repeated_rows(estimator: Any, n_classes: int) -> None:
    rows = drawn(0 if n_classes == 1 else n_classes)
    target = np.exp(rows.target) if n_classes == 1 else rows.target
    more = repeated(dataclasses.replace(rows, target=target))
    weighted = sklearn.base.clone(estimator).fit(rows.frame, target, sample_weight=rows.weight)
    by_rows = sklearn.base.clone(estimator).fit(more.frame, more.target)
    raw = "predict_proba" if n_classes == 2 else "predict"
    assert np.allclose(getattr(weighted, raw)(rows.frame), getattr(by_rows, raw)(rows.frame), rtol=2e-4)


@pytest.mark.parametrize("network", [NetworkRegressor, NetworkClassifier])
def test_networks_learn_what_counts(network: Any) -> None:
    rows = drawn(2 if network is NetworkClassifier else 0)
    assert rows.weight is not None
    options = {"hidden_layer_sizes": (), "n_epochs": 40, "batch_size": N, "random_state": 0}
    weighted = network(**options).fit(rows.frame, rows.target, sample_weight=rows.weight)
    again = network(**options).fit(rows.frame, rows.target, sample_weight=5 * rows.weight)
    pairs = zip(weighted.coefs_, again.coefs_, strict=True)
    assert all(np.allclose(a, b, rtol=1e-9) for a, b in pairs), "only their ratios count"
    plain = network(**options).fit(rows.frame, rows.target)
    heavy = rows.weight > 3
    assert weighted.score(rows.frame[heavy], rows.target[heavy]) > plain.score(
        rows.frame[heavy], rows.target[heavy]
    )


def test_metrics_are_scikit_learns_with_sample_weight() -> None:
    truth, guess, weight = (
        RANDOM.normal(size=50),
        RANDOM.normal(size=50),
        RANDOM.integers(1, 5, 50).astype(float),
    )
    found = metrics.regression_metrics(truth, guess, 0.9, weight)
    assert found["mse"] == sk.mean_squared_error(truth, guess, sample_weight=weight)
    assert found["r2"] == sk.r2_score(truth, guess, sample_weight=weight)
    assert found["pinball"] == sk.mean_pinball_loss(truth, guess, alpha=0.9, sample_weight=weight)
    for n_classes in (2, 3):
        codes = RANDOM.integers(0, n_classes, 50)
        likely = RANDOM.dirichlet(np.ones(n_classes), 50)
        predicted = likely.argmax(axis=1)
        found = metrics.classification_metrics(codes, predicted, likely, weight)
        assert found["accuracy"] == sk.accuracy_score(codes, predicted, sample_weight=weight)
        assert found["log_loss"] == pytest.approx(sk.log_loss(codes, likely, sample_weight=weight))
        assert found["f1_macro"] == pytest.approx(
            metrics.f1_score(codes, predicted, n_classes, "f1_macro", weight)
        )
        whole = np.repeat(np.arange(50), weight.astype(int))
        by_rows = metrics.classification_metrics(codes[whole], predicted[whole], likely[whole])
        assert found == pytest.approx(by_rows)


def test_thresholds_and_multipliers_count_rows_by_their_weights() -> None:
    codes = RANDOM.integers(0, 2, 400)
    likely = np.clip(0.25 + 0.2 * codes + RANDOM.normal(0, 0.1, 400), 0.01, 0.99)
    weight = RANDOM.integers(1, 6, 400).astype(float)
    whole = np.repeat(np.arange(400), weight.astype(int))
    for metric in ("f1", "f1_macro"):
        by_rows = _best_threshold(codes[whole], likely[whole], metric, np.ones(len(whole)))
        assert _best_threshold(codes, likely, metric, weight) == by_rows
    both = np.column_stack([1 - likely, likely])
    assert choose_threshold(codes, both, "f1", np.ones(400)) == choose_threshold(codes, both)
    heavy = np.where(codes == 1, 50.0, 1.0)
    assert choose_threshold(codes, both, "f1", heavy) < choose_threshold(codes, both)
    three = RANDOM.dirichlet(np.ones(3), 400)
    given = RANDOM.integers(0, 3, 400)
    assert choose_class_multipliers(given, three, np.ones(400)) == choose_class_multipliers(given, three)


@pytest.mark.parametrize("n_classes", [0, 2])
def test_auto_compares_and_fits_by_weighted_losses(n_classes: int) -> None:
    rows = drawn(n_classes)
    task = task_for(rows, auto=True, settings=Settings(max_trials=3, min_rows=10))
    choice = search(dataclasses.replace(task, is_sql=False), rows, lambda text, fields: None)
    for trial in choice.trials:
        assert trial.weight is not None and trial.weight == pytest.approx(rows.weight / rows.weight.mean())  # type: ignore[union-attr]
    plain = search(task, dataclasses.replace(rows, weight=None), lambda text, fields: None)
    assert [trial.loss for trial in choice.trials] != [trial.loss for trial in plain.trials]
    pipeline = fit_pipeline(task, choice, rows, None)
    unweighted = fit_pipeline(task, choice, dataclasses.replace(rows, weight=None), None)
    raw = "predict_proba" if n_classes else "predict"
    assert not np.allclose(
        getattr(pipeline, raw)(rows.frame), getattr(unweighted, raw)(rows.frame), rtol=1e-3
    )


def test_the_width_of_intervals_follows_from_weights() -> None:
    errors, weight = RANDOM.permutation(100) + 1.0, np.ones(100)
    assert intervals.quantile(errors, 0.9, weight) == intervals.quantile(errors, 0.9)
    assert intervals.quantile(errors, 0.9, np.where(errors > 90, 10.0, 1.0)) > intervals.quantile(errors, 0.9)
    assert intervals.quantile(errors, 0.9, np.where(errors > 90, 0.01, 1.0)) < intervals.quantile(errors, 0.9)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([np.nan, np.nan], "NULL or NaN in 2"),
        ([-1.0], "negative in 1"),
        ([0.0] * 240, "zero in 240"),
        ([np.inf, -2.0], "negative in 1 and infinite in 1"),
    ],
)
def test_weights_that_are_not_positive_are_refused_with_their_counts(
    tmp_path: Any, values: list[float], said: str
) -> None:
    rows = drawn()
    assert rows.weight is not None
    rows.weight[: len(values)] = values
    spec = make_spec("target", weight="w", settings=Settings(min_rows=10))
    job = make_job(tmp_path, COLUMNS, column("target"), spec=spec, weight=column("w"))
    with pytest.raises(TrainingDataError, match=f'weight "w" is {said} of 240 rows, and must be a positive'):
        preparation.prepare(job, rows, Deadline(9), Report(lambda *given: None))


def test_networks_of_an_old_scikit_learn_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(configured, "has_fit_parameter", lambda *given: False)
    with pytest.raises(SpecError, match=r"mlp without auto takes none in scikit-learn .* auto: true"):
        fitted(drawn(), "mlp")
    assert fitted(drawn(), "linear_learner") is not None
