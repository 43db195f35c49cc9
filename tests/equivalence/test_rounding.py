"""Steps whose library rounds otherwise than the formula says, in front of trees, which show the last bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from equivalence.oracle import Fitted, check_predictions, expected_of
from lightgbm import LGBMClassifier
from postgres_ml.contract.exceptions import UnsupportedModelError
from postgres_ml.lower import parse_pipeline
from postgres_ml.program import interpret
from postgres_ml.program.adversarial import adversarial_rows
from postgres_ml.program.program import Input
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    OneHotEncoder,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)
from sklearn.tree import DecisionTreeRegressor
from xgboost import XGBClassifier, XGBRegressor

NUMBERS = tuple(Input(name, "double precision", "number") for name in ("a", "b"))
TEXT = Input("t", "text", "text")


def check(pipeline: Any, inputs: tuple[Input, ...], frame: pd.DataFrame, seed: int = 0) -> None:
    program = parse_pipeline(pipeline, inputs, "double precision")
    columns = adversarial_rows(program, seed, 400)
    for name, column in columns.items():  # the subnormal numbers of CSR matrices are not meant here
        if name in ("a", "b"):
            column[:] = [None if v is not None and 0 < abs(v) < 1e-290 else v for v in column]
    found = interpret.predict(program, columns)
    fitted = Fitted(pipeline, inputs, frame, "double precision")
    expected = expected_of(fitted, columns, None, [value is None for value in found])
    check_predictions(program, columns, expected, found, None, 1e-12)


@pytest.mark.parametrize(
    "scaler",
    [StandardScaler(with_mean=False), MaxAbsScaler(), RobustScaler(with_centering=False)],
    ids=["standard", "max-abs", "robust"],
)
@pytest.mark.parametrize(
    "model",
    [
        RandomForestRegressor(30, random_state=0),
        DecisionTreeRegressor(random_state=0),
        XGBRegressor(n_estimators=50),
    ],
    ids=["forest", "tree", "xgboost"],
)
@pytest.mark.parametrize("seed", range(3))
def test_a_scaler_of_a_sparse_matrix_multiplies(scaler: Any, model: Any, seed: int) -> None:
    source = np.random.default_rng(seed)
    texts = source.choice(list("abcdefgh"), 1500)
    frame = pd.DataFrame(
        {"a": source.integers(0, 90, 1500).astype(float), "b": np.round(source.gamma(2, 100, 1500), 2)}
    ).assign(t=pd.Series(texts, dtype=object))
    target = frame["b"] / 100 + frame["a"] / 50 + source.normal(size=1500) * 0.3
    columns = ColumnTransformer(
        [("t", OneHotEncoder(handle_unknown="ignore"), ["t"]), ("n", "passthrough", ["b", "a"])],
        sparse_threshold=1.0,
    )
    check(make_pipeline(columns, scaler, model).fit(frame, target), (*NUMBERS, TEXT), frame, seed)


@pytest.mark.parametrize(
    "values", [(0.1, 0.3, 0.1 + 0.2, 0.7), (1.0, 1.0 + 2**-52, 2.0), (1.0, 1.0 + 2**-52, 1.0 + 2**-51, 3.0)]
)
def test_quantiles_that_are_neighbours(values: tuple[float, ...]) -> None:
    frame = pd.DataFrame({"a": np.tile(values, 50)})
    pipeline = make_pipeline(QuantileTransformer(n_quantiles=50), Ridge()).fit(frame, np.arange(len(frame)))
    program = parse_pipeline(pipeline, NUMBERS[:1], "double precision")
    around = [np.nextafter(v, side) for v in values for side in (-np.inf, v, np.inf)]
    found = interpret.predict(program, {"a": around})
    assert found == pytest.approx(pipeline.predict(pd.DataFrame({"a": around})), rel=1e-12)


def test_quantiles_that_are_too_close_are_refused() -> None:
    frame = pd.DataFrame({"a": np.tile([0.0, 1e-320, 1.0], 50)})
    pipeline = make_pipeline(QuantileTransformer(n_quantiles=50), Ridge()).fit(frame, np.arange(150))
    with pytest.raises(UnsupportedModelError, match="quantiles that are closer"):
        parse_pipeline(pipeline, NUMBERS[:1], "double precision")


def test_a_text_for_missing_numbers_is_refused_by_name() -> None:
    frame = pd.DataFrame({"a": [0.0, 1.0, 2.0] * 20, "t": pd.Series(["x", "y", "z"] * 20, dtype=object)})
    imputer = SimpleImputer(strategy="constant", fill_value="missing")
    pipeline = make_pipeline(imputer, OneHotEncoder(handle_unknown="ignore"), Ridge())
    pipeline.fit(frame, np.arange(60.0))
    with pytest.raises(
        UnsupportedModelError, match=r"'missing' of a number column.*impute numbers and texts apart"
    ):
        parse_pipeline(pipeline, (NUMBERS[0], TEXT), "double precision")


def test_keywords_of_an_inverse_function_are_refused() -> None:
    inverse = FunctionTransformer(np.log1p, np.expm1, inv_kw_args={"dtype": np.float32})
    frame = pd.DataFrame({"a": np.arange(60.0)})
    model = TransformedTargetRegressor(Ridge(), transformer=inverse).fit(frame, np.arange(60.0))
    with pytest.raises(UnsupportedModelError, match="inv_kw_args"):
        parse_pipeline(model, NUMBERS[:1], "double precision")


@pytest.mark.parametrize("method", ["sigmoid", "isotonic", "temperature"])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("step", [None, StandardScaler()], ids=["alone", "scaled"])
def test_calibrated_lightgbm(method: str, n_classes: int, step: Any) -> None:
    """From lightgbm 4.7 on it has a decision function, which scikit-learn prefers to probabilities."""
    source = np.random.default_rng(0)
    frame = pd.DataFrame({"a": source.normal(size=400), "b": source.normal(size=400) * 3})
    target = np.digitize(2 * frame["a"] + frame["b"], [-1, 2][: n_classes - 1])
    inner = LGBMClassifier(n_estimators=5, verbose=-1)
    inner = inner if step is None else make_pipeline(step, inner)
    model = CalibratedClassifierCV(inner, method=method, cv=2).fit(frame, target)
    program = parse_pipeline(model, NUMBERS, "integer")
    found = interpret.predict_probabilities(program, {name: frame[name].tolist() for name in frame})
    np.testing.assert_allclose(np.array(found), model.predict_proba(frame), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "model", [XGBClassifier(n_estimators=2), LGBMClassifier(n_estimators=2, verbose=-1), MLPClassifier((3,))]
)
def test_a_classifier_of_one_class_is_refused_by_name(model: Any) -> None:
    frame = pd.DataFrame({"a": np.arange(60.0), "b": np.arange(60.0) % 7})
    with pytest.raises(UnsupportedModelError, match=r"one class only.*two classes or more"):
        parse_pipeline(model.fit(frame, np.zeros(60, int)), NUMBERS, "integer")
