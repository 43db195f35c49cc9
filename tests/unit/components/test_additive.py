"""Additive models: tables that are xgboost's trees, bins of their own, constraints, and what is refused."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import xgboost
from postgres_ml.components import additive_boosting
from postgres_ml.components.additive import AdditiveClassifier, AdditiveRegressor, Axis
from postgres_ml.components.additive_bins import short_between
from postgres_ml.components.additive_boosting import leaves
from sklearn.base import clone

NAN = np.nan


def drawn(n: int = 400, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two numbers, a category's code and a number without effect; missing values in the first."""
    random = np.random.default_rng(seed)
    X = np.column_stack(
        [
            random.normal(size=n),
            random.integers(0, 30, n) / 10,
            random.integers(0, 4, n),
            random.normal(size=n),
        ]
    )
    y = np.sin(2 * X[:, 0]) + X[:, 1] * (X[:, 2] == 2) + random.normal(size=n) * 0.1
    X[::17, 0] = NAN
    return X, y


def regressor(**more: Any) -> AdditiveRegressor:
    return AdditiveRegressor(**{"categorical": (2,), "max_rounds": 60, "outer_bags": 2, **more})


@pytest.mark.parametrize("groups", ["columns", "pairs"])
def test_tables_are_the_margins_of_xgboost(groups: str, monkeypatch: pytest.MonkeyPatch) -> None:
    boosters: list[tuple[Any, Any]] = []
    train = xgboost.train

    def recorded(settings: Any, matrix: Any, *given: Any, **named: Any) -> Any:
        booster = train(settings, matrix, *given, **named)
        boosters.append((booster, matrix))
        return booster

    monkeypatch.setattr(additive_boosting.xgboost, "train", recorded)
    X, y = drawn()
    regressor(outer_bags=1).fit(X, y)
    booster, matrix = boosters[0 if groups == "columns" else 1]
    booster = booster[: int(booster.attr("best_iteration")) + 1]
    content = matrix.get_data().toarray() if hasattr(matrix.get_data(), "toarray") else matrix.get_data()
    n_bins = [int(np.nanmax(column)) + 3 for column in content.T]
    present = np.full(content.shape, NAN)
    csr = matrix.get_data().tocsr()
    rows = np.repeat(np.arange(csr.shape[0]), np.diff(csr.indptr))
    present[rows, csr.indices] = csr.data
    bins = np.where(np.isnan(present), np.array(n_bins) - 1, np.nan_to_num(present)).astype(int)
    model = additive_boosting.json.loads(bytes(booster.save_raw("json")))["learner"]["gradient_booster"][
        "model"
    ]
    total = np.zeros(len(bins))
    widths = set()
    for _, box, value in leaves(model, n_bins):
        inside = np.ones(len(bins), bool)
        for column, mask in box.items():
            inside &= mask[bins[:, column]]
        widths.add(len(box))
        total += value * inside
    assert max(widths) == (1 if groups == "columns" else 2)
    margin = booster.predict(matrix, output_margin=True) - matrix.get_base_margin().ravel()
    np.testing.assert_allclose(total, margin, atol=2e-5)


def test_the_terms_are_the_columns_that_matter_and_their_pairs() -> None:
    X, y = drawn()
    model = regressor(interactions=1, outer_bags=5, max_rounds=500).fit(X, y)
    features = [tuple(model.axes_[axis].feature for axis in term.axes) for term in model.terms_]
    assert features[-1] == (1, 2)
    assert {(0,), (1,), (2,)} <= set(features)
    fresh, truth = drawn(seed=1)
    assert np.mean((model.predict(fresh) - truth) ** 2) < 0.12 * np.var(truth)
    for term in model.terms_:  # each effect has mean 0 over the training rows
        np.testing.assert_allclose(term.points @ term.shares, 0, atol=2e-4)
        assert term.shares.sum() == pytest.approx(1)


def test_what_was_never_seen_has_no_points() -> None:
    X, y = drawn()
    model = regressor(interactions=0).fit(X, y)
    usual = [0.3, 1.05, 1.0, 0.0]
    points = {term.axes[0]: term.points[0] for term in model.terms_}
    category = next(a for a in points if model.axes_[a].feature == 2)
    assert points[category][0] == 0 == points[category][-1]  # unseen, and missing where none was
    number = next(a for a in points if model.axes_[a].feature == 0)
    assert points[number][-1] != 0
    without = model.predict(np.array([[usual[0], usual[1], -1.0, 0.0], [usual[0], usual[1], NAN, 0.0]]))
    assert without[0] == without[1]
    assert np.isfinite(model.predict([[np.inf, -np.inf, 1.0, 0.0]])).all()


def test_bins_are_cut_between_values_at_short_numbers() -> None:
    assert short_between(1.0, 2.0) == 2.0
    assert short_between(2.0, 3.0) == 3.0
    assert short_between(0.1, 0.2) == 0.2
    assert short_between(41.37, 41.39) == 41.39
    assert short_between(1.234567, 1.345678) == 1.3
    low = 0.1
    high = np.nextafter(low, 1)
    assert short_between(low, float(high)) == high
    axis = Axis(0, (1.0, 2.0))
    values = np.array([[-np.inf], [0.5], [1.0], [1.5], [2.0], [np.inf], [NAN]])
    assert axis.bins(values).tolist() == [0, 0, 1, 1, 2, 2, 3]


def test_classes_and_their_probabilities() -> None:
    X, y = drawn()
    for n in (2, 3):
        labels = np.array(["a", "b", "c"])[np.digitize(y, np.quantile(y, np.arange(1, n) / n))]
        model = AdditiveClassifier(categorical=(2,), max_rounds=60, outer_bags=2).fit(X, labels)
        probabilities = model.predict_proba(X)
        assert probabilities.shape == (len(X), n)
        np.testing.assert_allclose(probabilities.sum(axis=1), 1)
        assert model.predict(X).tolist() == model.classes_[probabilities.argmax(axis=1)].tolist()
        assert np.mean(model.predict(X) == labels) > 0.75
        assert model.scores(X).shape == (len(X), 1 if n == 2 else 3)


def test_weights_count_as_rows_do_and_constraints_are_kept() -> None:
    X, y = drawn()
    heavy = regressor(interactions=0).fit(X, y, sample_weight=np.where(X[:, 2] == 2, 1e6, 1.0))
    assert heavy.intercept_[0] == pytest.approx(y[X[:, 2] == 2].mean(), abs=0.1)
    rising = regressor(monotone_constraints=(1, 0, 0, 0)).fit(X, y)
    grid = np.column_stack([np.linspace(-3, 3, 200), *np.repeat([[1.0], [2.0], [0.0]], 200, axis=1)])
    assert np.all(np.diff(rising.predict(grid)) >= -1e-5)  # points are rounded
    free = regressor().fit(X, y).predict(grid)
    assert np.any(np.diff(free) < 0)


def test_it_is_an_estimator_like_others_and_the_same_each_time() -> None:
    X, y = drawn()
    model = regressor(interactions=3)
    assert clone(model).get_params() == model.get_params()
    first, second = model.fit(X, y), clone(model).fit(X, y)
    again = pickle.loads(pickle.dumps(first))
    assert first.predict(X).tolist() == second.predict(X).tolist() == again.predict(X).tolist()


def test_a_clock_ends_it_with_what_it_has_learned() -> None:
    X, y = drawn()
    cut = regressor(is_late=lambda: True).fit(X, y)
    assert np.isfinite(cut.predict(X)).all()
    assert np.var(cut.predict(X)) < np.var(regressor().fit(X, y).predict(X))


def test_what_it_refuses() -> None:
    X, y = drawn()
    with pytest.raises(ValueError, match="X contains infinity"):
        regressor().fit(np.where(np.isnan(X), np.inf, X), y)
    with pytest.raises(ValueError, match="4 rows are too few for 5 folds"):
        regressor().fit(X[:4], y[:4])
    with pytest.raises(ValueError, match="two classes or more"):
        AdditiveClassifier().fit(X, np.zeros(len(X)))
