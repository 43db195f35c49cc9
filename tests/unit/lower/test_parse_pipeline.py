"""What parse_pipeline makes of a pipeline: labels, columns, refusals, and errors for what it doesn't know."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xgboost
from postgres_ml.components.estimators import LabelEncodedClassifier
from postgres_ml.contract.exceptions import UnsupportedModelError
from postgres_ml.lower import parse_pipeline
from postgres_ml.lower.builder import MAX_FLOAT32, MAX_FLOAT64
from postgres_ml.lower.xgboost_booster import predictions_at, read_booster
from postgres_ml.program import encoders as e
from postgres_ml.program.interpret import predict
from postgres_ml.program.program import BinaryLabel, Input, Program
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import (
    GradientBoostingRegressor,
    HistGradientBoostingRegressor,
    RandomForestRegressor,
    VotingClassifier,
)
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    OrdinalEncoder,
    QuantileTransformer,
    StandardScaler,
)

A = Input("a", "double precision", "number")
N = Input("n", "integer", "number")
T = Input("t", "text", "text")
D = Input("d", "date", "date")
INPUTS = (A, N, T)


@pytest.fixture
def frame() -> pd.DataFrame:
    source = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "a": source.normal(size=60),
            "n": source.integers(0, 5, size=60).astype(float),
            "t": pd.Series(source.choice(["x", "y"], size=60), dtype=object),
        }
    )


@pytest.fixture
def target() -> np.ndarray:
    return np.random.default_rng(1).normal(size=60)


def numbers_only(estimator: Any, frame: pd.DataFrame, target: Any) -> Program:
    return parse_pipeline(estimator.fit(frame[["a", "n"]], target), (A, N), "double precision")


def test_unknown_estimator_names_itself(frame: pd.DataFrame, target: np.ndarray) -> None:
    for estimator in (KNeighborsRegressor(), GaussianProcessRegressor()):
        with pytest.raises(UnsupportedModelError) as caught:
            numbers_only(estimator, frame, target)
        assert caught.value.estimator == type(estimator).__name__
        assert "docs/support.md" in caught.value.hint


def test_subclass_is_not_taken_for_its_parent(frame: pd.DataFrame, target: np.ndarray) -> None:
    class Ridge2(Ridge):
        def predict(self, X: Any) -> Any:
            return 2 * super().predict(X)

    with pytest.raises(UnsupportedModelError, match="Ridge2"):
        numbers_only(Ridge2(), frame, target)


def test_pipeline_without_an_estimator(frame: pd.DataFrame, target: np.ndarray) -> None:
    with pytest.raises(UnsupportedModelError, match="without an estimator"):
        numbers_only(make_pipeline(StandardScaler()), frame, target)


def two_targets(target: np.ndarray) -> np.ndarray:
    return np.column_stack([target, target])


@pytest.mark.parametrize(
    ("estimator", "named"),
    [
        (
            TransformedTargetRegressor(Ridge(), transformer=QuantileTransformer(n_quantiles=9)),
            "QuantileTransformer",
        ),
        (TransformedTargetRegressor(Ridge(), func=np.exp2, inverse_func=np.log2, check_inverse=False), None),
        (make_pipeline(FunctionTransformer(np.rint), Ridge()), "rint"),
        (make_pipeline(FunctionTransformer(lambda x: x + 1), Ridge()), "lambda"),
        (
            make_pipeline(QuantileTransformer(n_quantiles=9, output_distribution="normal"), Ridge()),
            "QuantileNormal",
        ),
        (
            make_pipeline(StandardScaler(), KMeans(2).set_output(transform="default"), Ridge()),
            "after an estimator",
        ),
        (GradientBoostingRegressor(init=Ridge(), n_estimators=2), "init"),
        (xgboost.XGBRegressor(booster="gblinear", n_estimators=2), "gblinear"),
        (xgboost.XGBRegressor(missing=-1.0, n_estimators=2), "missing=-1.0"),
        (xgboost.XGBRegressor(objective=lambda y, p: (p - y, np.ones_like(y)), n_estimators=2), None),
    ],
)
def test_unknown_option(estimator: Any, named: str | None, frame: pd.DataFrame, target: np.ndarray) -> None:
    if named is None:
        program = numbers_only(estimator, frame, target)
        columns = {"a": frame["a"].tolist(), "n": frame["n"].tolist()}
        assert np.allclose(predict(program, columns), estimator.predict(frame[["a", "n"]]), rtol=1e-6)
        return
    with pytest.raises(UnsupportedModelError, match=named) as caught:
        numbers_only(estimator, frame, target)
    assert "; " in str(caught.value), "what to do stands after the cause"


@pytest.mark.parametrize("estimator", [LinearRegression(), RandomForestRegressor(2)])
def test_several_targets(estimator: Any, frame: pd.DataFrame, target: np.ndarray) -> None:
    with pytest.raises(UnsupportedModelError, match="2 targets"):
        numbers_only(estimator, frame, two_targets(target))


def test_several_targets_of_xgboost(frame: pd.DataFrame, target: np.ndarray) -> None:
    for strategy in ("one_output_per_tree", "multi_output_tree"):
        estimator = xgboost.XGBRegressor(n_estimators=2, multi_strategy=strategy, tree_method="hist")
        with pytest.raises(UnsupportedModelError):
            numbers_only(estimator, frame, two_targets(target))


def test_hard_voting(frame: pd.DataFrame, target: np.ndarray) -> None:
    voting = VotingClassifier([("a", LogisticRegression())], voting="hard")
    with pytest.raises(UnsupportedModelError, match=r"voting='hard'.*voting='soft'"):
        numbers_only(voting, frame, target > 0)


def test_text_needs_an_encoder(frame: pd.DataFrame, target: np.ndarray) -> None:
    fitted = Pipeline([("scale", StandardScaler()), ("fit", Ridge())]).fit(frame[["a"]], target)
    with pytest.raises(UnsupportedModelError, match=r"text column 't'.*encoder"):
        parse_pipeline(fitted, (T,), "double precision")
    with pytest.raises(UnsupportedModelError, match=r"date column 'd'.*DateTimeVectorizer"):
        parse_pipeline(fitted, (D,), "double precision")


def test_columns_of_another_frame(frame: pd.DataFrame, target: np.ndarray) -> None:
    fitted = make_pipeline(ColumnTransformer([("s", StandardScaler(), ["a"])]), Ridge()).fit(frame, target)
    with pytest.raises(UnsupportedModelError, match="the inputs are"):
        parse_pipeline(fitted, (N, A, T), "double precision")
    with pytest.raises(UnsupportedModelError):
        parse_pipeline(fitted, (A, N), "double precision")


@pytest.mark.parametrize(
    "selected",
    [["a", "n"], [0, 1], [0, -2], slice(0, 2), slice("a", "n"), [True, True, False], lambda X: ["a", "n"]],
    ids=["names", "positions", "negative", "slice", "labels", "mask", "function"],
)
def test_column_selections(selected: Any, frame: pd.DataFrame, target: np.ndarray) -> None:
    chosen = ColumnTransformer([("s", StandardScaler(), selected)])
    fitted = make_pipeline(chosen, Ridge()).fit(frame, target)
    program = parse_pipeline(fitted, INPUTS, "double precision")
    columns = {name: frame[name].tolist() for name in frame}
    assert np.allclose(predict(program, columns), fitted.predict(frame), rtol=1e-12)
    assert not any(isinstance(step, e.Category) for step in program.steps)


def test_unused_columns_leave_no_steps(frame: pd.DataFrame) -> None:
    fitted = xgboost.XGBRegressor(n_estimators=2, max_depth=1).fit(frame[["a", "n"]], frame["n"] > 2)
    program = parse_pipeline(fitted, (A, N), "double precision")
    assert [step.input for step in program.steps if isinstance(step, e.Number)] == [1]


def test_refusals_know_the_sql_type(frame: pd.DataFrame, target: np.ndarray) -> None:
    program = numbers_only(make_pipeline(SimpleImputer(), RandomForestRegressor(2)), frame, target)
    read = {
        step.input: slot
        for step, slot in zip(program.steps, program.offsets, strict=True)
        if isinstance(step, e.Number)
    }
    limits = {(refusal.slot, refusal.above) for refusal in program.refusals}
    assert (read[0], MAX_FLOAT64) in limits, "the imputer refuses infinities"
    assert any(above == MAX_FLOAT32 for _, above in limits), (
        "the trees refuse what single precision can't hold"
    )
    assert not any(slot == read[1] for slot, _ in limits), "an integer is neither infinite nor too great"
    assert not any(refusal.missing for refusal in program.refusals), "nothing is missing after the imputer"


def test_missing_values_are_refused_without_an_imputer(frame: pd.DataFrame, target: np.ndarray) -> None:
    program = numbers_only(make_pipeline(StandardScaler(), Ridge()), frame, target)
    assert predict(program, {"a": [None, 1.0], "n": [1, None]}) == [None, None]
    assert predict(program, {"a": [0.5], "n": [1]})[0] is not None


@pytest.mark.parametrize(
    ("handle", "expected_none"), [("error", True), ("ignore", False), ("infrequent_if_exist", False)]
)
def test_unknown_categories(
    handle: str, expected_none: bool, frame: pd.DataFrame, target: np.ndarray
) -> None:
    encoder = OneHotEncoder(handle_unknown=handle, sparse_output=False)
    fitted = make_pipeline(encoder, Ridge()).fit(frame[["t"]], target)
    program = parse_pipeline(fitted, (T,), "double precision")
    found = predict(program, {"t": ["z", None, "x"]})
    assert [value is None for value in found] == [expected_none, expected_none, False]


@pytest.mark.parametrize(
    ("labels", "return_type", "expected"),
    [
        ([0.0, 1.0], "boolean", (False, True)),
        ([3.0, 7.0], "integer", (3, 7)),
        ([3.5, 7.0], "double precision", (3.5, 7.0)),
        ([2, 4], "bigint", (2, 4)),
        (["no", "yes"], "text", ("no", "yes")),
        ([False, True], "boolean", (False, True)),
    ],
)
def test_labels_have_the_type_of_the_target(
    labels: list[Any], return_type: str, expected: tuple[Any, ...], frame: pd.DataFrame, target: np.ndarray
) -> None:
    y = np.array(labels)[(target > 0).astype(int)]
    fitted = LabelEncodedClassifier(LogisticRegression()).fit(frame[["a", "n"]], y)
    output = parse_pipeline(fitted, (A, N), return_type).output
    assert isinstance(output, BinaryLabel)
    assert output.labels == expected
    assert [type(label) for label in output.labels] == [type(label) for label in expected]


def test_xgboosts_own_categories_are_refused(frame: pd.DataFrame, target: np.ndarray) -> None:
    own = frame.assign(t=frame["t"].astype("category"))
    fitted = xgboost.XGBRegressor(n_estimators=2, enable_categorical=True).fit(own, target)
    with pytest.raises(UnsupportedModelError, match="OrdinalEncoder"):
        parse_pipeline(fitted, INPUTS, "double precision")


def test_categorical_split_of_a_column_with_fractions(frame: pd.DataFrame, target: np.ndarray) -> None:
    options = {"n_estimators": 2, "enable_categorical": True, "feature_types": ["q", "c"]}
    fitted = xgboost.XGBRegressor(**options).fit(frame[["a", "n"]].to_numpy(), frame["n"] % 2)
    with pytest.raises(UnsupportedModelError, match="may hold fractions"):
        parse_pipeline(fitted, (A, N), "double precision")


def test_single_precision_matrix_is_refused(frame: pd.DataFrame, target: np.ndarray) -> None:
    encoder = OrdinalEncoder(dtype=np.float32)
    fitted = make_pipeline(encoder, Ridge()).fit(frame[["t"]], target)
    with pytest.raises(UnsupportedModelError, match="float32"):
        parse_pipeline(fitted, (T,), "double precision")


def test_imputed_boolean_as_category(target: np.ndarray) -> None:
    """The fill -1 is a category of its own, not another True."""
    flags = np.random.default_rng(2).choice([0.0, 1.0, np.nan], size=60)
    frame = pd.DataFrame({"f": flags})
    fill = SimpleImputer(strategy="constant", fill_value=-1.0)
    fitted = make_pipeline(fill, OneHotEncoder(sparse_output=False), Ridge()).fit(
        frame, np.nan_to_num(flags, nan=3.0) + target / 9
    )
    program = parse_pipeline(fitted, (Input("f", "boolean", "boolean"),), "double precision")
    expected = fitted.predict(pd.DataFrame({"f": [0.0, 1.0, np.nan]}))
    assert np.allclose(predict(program, {"f": [False, True, None]}), expected, rtol=1e-12)
    assert len(set(expected)) == 3


def test_dates_are_not_imputed(target: np.ndarray) -> None:
    fitted = make_pipeline(SimpleImputer(), Ridge()).fit(np.ones((60, 1)), target)
    with pytest.raises(UnsupportedModelError, match=r"date column 'd'.*DateTimeVectorizer"):
        parse_pipeline(fitted, (D,), "double precision")


def test_hist_gradient_boosting_encodes_text_itself(frame: pd.DataFrame, target: np.ndarray) -> None:
    y = (frame["t"] == "y") + target / 5
    options = {"max_iter": 3, "categorical_features": ["t"], "min_samples_leaf": 3}
    fitted = HistGradientBoostingRegressor(**options).fit(frame, y)
    program = parse_pipeline(fitted, INPUTS, "double precision")
    columns = {"a": [0.1] * 4, "n": [1.0] * 4, "t": ["x", "y", "z", None]}
    rows = pd.DataFrame(columns).astype({"t": object})
    assert predict(program, columns) == fitted.predict(rows).tolist()


@pytest.mark.parametrize("threshold", [0.7, np.float64(0.7)])
def test_threshold_is_compared_as_the_library_compares_it(
    threshold: float, frame: pd.DataFrame, target: np.ndarray
) -> None:
    """Single-precision probabilities meet a Python float in single precision, a NumPy double in double."""
    inner = xgboost.XGBClassifier(n_estimators=2, n_jobs=1)
    fitted = FixedThresholdClassifier(inner, threshold=threshold).fit(
        frame[["a", "n"]], (target > 0).astype(int)
    )
    output = parse_pipeline(fitted, (A, N), "integer").output
    assert isinstance(output, BinaryLabel)
    booster = fitted.estimator_.get_booster()
    limit = np.float32(output.threshold)
    margins = np.array([np.nextafter(limit, np.float32(-9)), limit])
    stub = read_booster(booster, None, in_place=True).stub
    probabilities = predictions_at(stub, margins, 2)
    assert (probabilities >= threshold).tolist() == [False, True]


def test_trees_without_splits(frame: pd.DataFrame) -> None:
    constant = np.full(60, 2.5)
    for estimator in (xgboost.XGBRegressor(n_estimators=2), RandomForestRegressor(2)):
        program = numbers_only(estimator, frame, constant)
        assert predict(program, {"a": [0.1], "n": [1]}) == [2.5]


def test_all_text_is_missing(target: np.ndarray) -> None:
    """scikit-learn warns and encodes None as the only category."""
    frame = pd.DataFrame({"t": pd.Series([None] * 60, dtype=object)})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = make_pipeline(OneHotEncoder(handle_unknown="ignore"), Ridge()).fit(frame, target)
        expected = fitted.predict(pd.DataFrame({"t": pd.Series([None, "a"], dtype=object)}))
    program = parse_pipeline(fitted, (T,), "double precision")
    assert np.allclose(predict(program, {"t": [None, "a"]}), expected, rtol=1e-12)
