"""Shapley values: against the definition, against xgboost's own, and that they add up to the score."""

from __future__ import annotations

import itertools
import math
import time
from typing import Any

import numpy as np
import pandas as pd
import postgres_ml.explain as explain_module
import pytest
import xgboost
from postgres_ml.components.estimators import LabelEncodedClassifier, LogTargetRegressor
from postgres_ml.explain import Explanation, explain
from postgres_ml.explain.trees import Explainer
from postgres_ml.features.feature_columns import FeatureColumns
from postgres_ml.features.preprocess import linear_columns, tree_columns
from postgres_ml.lower import parse_pipeline
from postgres_ml.program.program import Input
from postgres_ml.program.scorers import Tree, TreeEnsemble
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier, VotingRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline

N = 400
NAN = math.nan
INPUTS = tuple(
    Input(name, "text" if name == "word" else "double precision", "text" if name == "word" else "number")
    for name in ("x", "y", "z", "word", "unused")
)
COLUMNS = FeatureColumns(("x", "y", "z"), ("word",))
LABELS = ("high", "low", "medium")


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    random = np.random.default_rng(0)
    made = pd.DataFrame({name: random.normal(size=N) for name in ("x", "y", "z", "unused")})
    made.loc[random.random(N) < 0.1, "x"] = NAN
    words = np.array(["a", "b", None], dtype=object)[random.integers(0, 3, N)]
    made["word"] = pd.Series(words, dtype=object)  # else pandas 3 makes None a NaN
    return made[[item.name for item in INPUTS]]


@pytest.fixture(scope="module")
def target(frame: pd.DataFrame) -> Any:
    noise = np.random.default_rng(1).normal(size=N) * 0.1
    return np.asarray(2 * frame.x.fillna(1) + (frame.word == "a") + frame.y * frame.z + noise)


def fitted(estimator: Any, frame: pd.DataFrame, target: Any, *, linear: bool = False) -> Pipeline:
    columns = (linear_columns if linear else tree_columns)(COLUMNS)
    return Pipeline([("columns", columns), ("estimator", estimator)]).fit(frame, target)


def explained(pipeline: Pipeline, frame: pd.DataFrame, labels: tuple[str, ...] = ()) -> Explanation:
    predict = pipeline.predict_proba if labels else pipeline.predict
    kind = "text" if labels else "double precision"
    found = explain(parse_pipeline(pipeline, INPUTS, kind), labels, frame, predict)
    assert found.names == tuple(frame)
    return found


def grouped(columns: Any, contributions: Any) -> Any:
    """Sum the contributions of encoded columns over the features they come from."""
    origin = [name.split("__")[1].split("_")[0] for name in columns.get_feature_names_out()]
    parts = {name: contributions[:, [o == name for o in origin]].sum(axis=1) for name in set(origin)}
    return np.column_stack([parts.get(item.name, np.zeros(len(contributions))) for item in INPUTS])


def test_trees_agree_with_xgboosts_own_values(frame: pd.DataFrame, target: Any) -> None:
    # squared error has unit hessians, so xgboost's cover of a node is its number of rows, as ours is
    pipeline = fitted(xgboost.XGBRegressor(n_estimators=40, max_depth=5), frame, target)
    found = explained(pipeline, frame)
    assert (found.method, found.unit, found.labels) == ("tree_shap", "units of the target", ("",))
    matrix = xgboost.DMatrix(pipeline[0].transform(frame))
    wanted = pipeline[1].get_booster().predict(matrix, pred_contribs=True)
    assert np.allclose(found.values[0], grouped(pipeline[0], wanted[:, :-1]), rtol=0, atol=2e-5)
    assert found.expected[0] == pytest.approx(float(wanted[0, -1]), abs=1e-5)
    assert found.importance["x"] > found.importance["word"] > found.importance["unused"] == 0


@pytest.mark.parametrize(
    "estimator",
    [
        LabelEncodedClassifier(xgboost.XGBClassifier(n_estimators=20)),
        HistGradientBoostingClassifier(max_iter=20, categorical_features=None),
        ExtraTreesClassifier(20, min_samples_leaf=3, random_state=0),
        LabelEncodedClassifier(LogisticRegression()),
    ],
    ids=lambda estimator: type(getattr(estimator, "estimator", estimator)).__name__,
)
@pytest.mark.parametrize("n_classes", [2, 3])
def test_values_add_up_to_the_score(estimator: Any, n_classes: int, frame: pd.DataFrame, target: Any) -> None:
    labels = LABELS[:n_classes]
    codes = np.digitize(target, [0.0, 2.0][: n_classes - 1])
    is_linear = isinstance(getattr(estimator, "estimator", None), LogisticRegression)
    pipeline = fitted(estimator, frame, np.array(labels, dtype=object)[codes], linear=is_linear)
    found = explained(pipeline, frame, labels)
    assert found.method == ("linear_shap" if is_linear else "tree_shap")
    assert found.labels == (labels[1:] if n_classes == 2 else labels)
    scores = found.values.sum(axis=2).T + found.expected
    probabilities = pipeline.predict_proba(frame)
    if found.unit == "log-odds":
        scores = np.column_stack([np.zeros(N), scores]) if n_classes == 2 else scores
        scores = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    elif n_classes == 2:
        probabilities = probabilities[:, 1:]
    assert np.allclose(scores, probabilities, atol=1e-5)


def test_a_linear_models_values_are_its_weighted_differences_from_the_mean(
    frame: pd.DataFrame, target: Any
) -> None:
    pipeline = fitted(Ridge(), frame, target, linear=True)
    found = explained(pipeline, frame)
    matrix = pipeline[0].transform(frame)
    terms = (matrix - matrix.mean(axis=0)) * pipeline[1].coef_
    origin = [n.split("__")[1].removeprefix("missingindicator_").split("_")[0]
              for n in pipeline[0].get_feature_names_out()]  # fmt: skip
    for position, item in enumerate(INPUTS):
        wanted = terms[:, [o == item.name for o in origin]].sum(axis=1)
        assert np.allclose(found.values[0, :, position], wanted, atol=1e-9)


def test_an_average_of_trees_and_lines_is_explained_exactly(frame: pd.DataFrame, target: Any) -> None:
    parts = [("tree", xgboost.XGBRegressor(n_estimators=10)), ("line", LinearRegression())]
    pipeline = fitted(VotingRegressor(parts, weights=[1, 3]), frame, target, linear=True)
    found = explained(pipeline, frame)
    assert found.method == "tree_shap"
    assert np.allclose(found.values[0].sum(axis=1) + found.expected[0], pipeline.predict(frame), atol=1e-5)


def test_a_regression_of_logarithms_is_explained_in_logarithms(frame: pd.DataFrame, target: Any) -> None:
    estimator = LogTargetRegressor(xgboost.XGBRegressor(n_estimators=10))
    pipeline = fitted(estimator, frame, np.exp(target / 4))
    found = explained(pipeline, frame)
    assert (found.method, found.unit) == ("tree_shap", "logarithm of the target")
    logs = found.values[0].sum(axis=1) + found.expected[0]
    assert np.allclose(np.exp(logs), pipeline.predict(frame), rtol=1e-5)


def test_a_pipeline_without_a_program_is_sampled(frame: pd.DataFrame, target: Any) -> None:
    pipeline = fitted(Ridge(), frame, target, linear=True)
    found = explain(None, (), frame, pipeline.predict)
    assert (found.method, found.unit, found.labels) == ("permutation_shap", "units of the target", ("",))
    assert found.importance["x"] > 10 * found.importance["unused"] == 0


def test_anything_else_is_sampled(frame: pd.DataFrame, target: Any) -> None:
    labels = ("no", "yes")
    network = MLPClassifier((8,), random_state=0, solver="lbfgs", alpha=0.1, max_iter=1000)
    pipeline = fitted(network, frame, np.array(labels)[(target > 0).astype(int)], linear=True)
    found = explained(pipeline, frame, labels)
    assert (found.method, found.unit, found.labels) == ("permutation_shap", "probability", ("yes",))
    assert found.importance["x"] > found.importance["y"] and found.importance["unused"] == 0
    again = explained(pipeline, frame, labels)
    assert np.array_equal(found.values, again.values)


def test_sampled_values_come_near_the_exact_ones(frame: pd.DataFrame, target: Any) -> None:
    from postgres_ml.explain.sampled import sampled_shap_values

    pipeline = fitted(Ridge(), frame, target, linear=True)
    exact = explained(pipeline, frame).values[0, :60]
    names = ["x", "y", "z", "word"]

    def score(rows: pd.DataFrame) -> Any:
        return pipeline.predict(rows)[:, None]

    found = sampled_shap_values(score, frame.iloc[:60], frame, names, 0)[0]
    assert np.corrcoef(found[:, 0], exact[:, 0])[0, 1] > 0.95
    assert np.abs(found).mean(axis=0) == pytest.approx(np.abs(exact[:, :4]).mean(axis=0), rel=0.25)


def test_trees_agree_with_the_definition() -> None:
    tree = Tree(
        split_index=(0, 1, 2, -1, -1, 0, -1, -1, -1),
        threshold=(0.5, 0.5, 0.5, NAN, NAN, 0.8, NAN, NAN, NAN),
        left=(1, 3, 5, -1, -1, 7, -1, -1, -1),
        right=(2, 4, 6, -1, -1, 8, -1, -1, -1),
        default_left=(True, False, True, False, False, False, False, False, False),
        leaf_value=((), (), (), (1.0,), (-2.0,), (), (4.0,), (8.0,), (16.0,)),
    )
    stump = Tree((-1,), (NAN,), (-1,), (-1,), (False,), ((0.25,),))
    step = TreeEnsemble((0, 1, 2), (tree, stump), "<", "float64", "float64", (0.25,))
    random = np.random.default_rng(0)
    background, rows = random.random((50, 3)), random.random((20, 3))
    rows[3, 0] = NAN
    explainer = Explainer(step, background)
    found = explainer.shap_values(rows)[0]
    for row, values in zip(rows, found, strict=True):
        assert values == pytest.approx(by_definition(tree, explainer.counts[0], row), abs=1e-12)
        everything = expectation(tree, explainer.counts[0], row, frozenset({0, 1, 2}))
        assert values.sum() + explainer.expected[0] == pytest.approx(everything + 0.5)


def by_definition(tree: Tree, counts: Any, row: Any) -> list[float]:
    values = []
    for player in range(3):
        others = [p for p in range(3) if p != player]
        total = 0.0
        for size in range(3):
            weight = math.factorial(size) * math.factorial(2 - size) / math.factorial(3)
            for known in map(frozenset, itertools.combinations(others, size)):
                gain = expectation(tree, counts, row, known | {player}) - expectation(
                    tree, counts, row, known
                )
                total += weight * gain
        values.append(total)
    return values


def expectation(tree: Tree, counts: Any, row: Any, known: frozenset[int], node: int = 0) -> float:
    feature = tree.split_index[node]
    if feature < 0:
        return tree.leaf_value[node][0]
    left, right = tree.left[node], tree.right[node]
    if feature in known:
        value = row[feature]
        goes_left = tree.default_left[node] if math.isnan(value) else value < tree.threshold[node]
        return expectation(tree, counts, row, known, left if goes_left else right)
    shares = [counts[child] / counts[node] if counts[node] else 0.5 for child in (left, right)]
    return sum(
        s * expectation(tree, counts, row, known, c) for s, c in zip(shares, (left, right), strict=True)
    )


def test_the_json_has_redshifts_shape() -> None:
    values = np.array([[[1.0, -2.0], [3.0, 4.0]]])
    found = Explanation("tree_shap", "log-odds", ("yes",), ("a", "b"), values, np.array([0.5]))
    assert found.to_dict() == {
        "version": "1.0",
        "explanations": {
            "kernel_shap": {"label0": {"global_shap_values": {"a": 2.0, "b": 3.0}, "expected_value": 0.5}}
        },
        "method": "tree_shap",
        "unit": "log-odds",
        "labels": {"label0": "yes"},
        "rows": 2,
    }


def test_where_time_is_short_values_are_of_fewer_rows_then_sampled_then_left_out(
    frame: pd.DataFrame, target: Any
) -> None:
    pipeline = fitted(xgboost.XGBRegressor(n_estimators=300, max_depth=2, n_jobs=1), frame, target)
    program = parse_pipeline(pipeline, INPUTS, "double precision")
    found = explain(program, (), frame, pipeline.predict)
    assert found is not None and found.method == "tree_shap"

    def predict(rows: pd.DataFrame) -> Any:
        asked.append(len(rows))
        return np.asarray(pipeline.predict(rows), dtype=np.float64)

    asked: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(explain_module, "_preparing_s", lambda *_: 100.0)  # a tree ensemble of thousands
        sampled = explain(program, (), frame, predict, seconds=30.0)
        assert sampled is not None and sampled.method == "permutation_shap"
        patch.setattr(explain_module, "MAX_PREDICTIONS", 200)
        few = explain(program, (), frame, predict, seconds=30.0)
        assert few is not None and explain_module.MIN_SAMPLED_ROWS <= few.values.shape[1] < 30
        asked.clear()
        assert explain(program, (), frame, predict, seconds=0.0) is None
        assert sum(asked) <= explain_module.TIMED_ROWS


def test_the_time_of_many_trees_is_estimated_from_some(frame: pd.DataFrame, target: Any) -> None:
    pipeline = fitted(xgboost.XGBRegressor(n_estimators=400, max_depth=2, n_jobs=1), frame, target)
    program = parse_pipeline(pipeline, INPUTS, "double precision")
    number = next(k for k, step in enumerate(program.steps) if isinstance(step, TreeEnsemble))
    slots = np.zeros((50, sum(step.width for step in program.steps)))
    started = time.process_time()
    expected = explain_module._preparing_s(program, number, slots)
    taken = time.process_time() - started
    assert expected > 3 * taken > 0
