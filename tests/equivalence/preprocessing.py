"""Drawn preprocessing: transformers of the inputs that `draw` makes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from equivalence.draw import FLAG, MOMENTS, NOTES, NUMBERS, TEXTS, Draw
from postgres_ml.components.text import TextVectorizer
from postgres_ml.components.text_statistics import TextStatistics
from postgres_ml.components.transformers import (
    DateTimeVectorizer,
    PiecewiseLinear,
    QuantileNormal,
    RobustSmoothClip,
)
from postgres_ml.program.program import Input
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
    TargetEncoder,
)

NUMERIC = [item.name for item in NUMBERS]
TEXT = [item.name for item in TEXTS]
DATES = [item.name for item in MOMENTS]


@dataclass(frozen=True)
class Preprocessing:
    """A transformer and the inputs that it reads.

    Parameters
    ----------
    transformer : unfitted; None for an estimator that reads the frame itself
    nulls : whether it takes missing values
    """

    transformer: Any
    inputs: tuple[Input, ...]
    nulls: bool = True


def _one_hot(draw: Draw, *, sparse: bool = False) -> OneHotEncoder:
    handle = draw.choice(["ignore", "infrequent_if_exist", "error"])
    drop = draw.choice([None, "first", "if_binary"]) if handle != "infrequent_if_exist" else None
    frequency = draw.choice([None, 12])
    return OneHotEncoder(handle_unknown=handle, drop=drop, min_frequency=frequency, sparse_output=sparse)


def for_trees(draw: Draw) -> Preprocessing:
    """Return numbers as they are, NULLs included, and text as one-hot columns or codes."""
    if draw.choice([True, False]):
        text = _one_hot(draw)
    else:
        text = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=draw.choice([-1, np.nan]))
    steps = [("numbers", "passthrough", [*NUMERIC, FLAG.name]), ("text", text, TEXT)]
    return Preprocessing(ColumnTransformer(steps, sparse_threshold=0), (*NUMBERS, FLAG, *TEXTS))


def native(draw: Draw) -> Preprocessing:
    """Return text as codes in front, for estimators with categorical splits, and numbers as they are."""
    # xgboost refuses -1 for a category when it trains; missing values may be a category of their own
    code = OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=np.nan, min_frequency=draw.choice([None, 12])
    )
    steps = [("text", code, TEXT), ("numbers", "passthrough", [*NUMERIC, FLAG.name])]
    return Preprocessing(ColumnTransformer(steps), (*NUMBERS, FLAG, *TEXTS))


def coded(draw: Draw) -> Preprocessing:
    """Return text as codes in front, -1 for what is new, and numbers as they are, for additive models."""
    code = OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=-1, min_frequency=draw.choice([None, 12])
    )
    steps = [("text", code, TEXT), ("numbers", "passthrough", [*NUMERIC, FLAG.name])]
    return Preprocessing(ColumnTransformer(steps), (*NUMBERS, FLAG, *TEXTS))


def sparse(draw: Draw) -> Preprocessing:
    """Return a matrix that is sparse, in which xgboost takes zeros for missing."""
    steps = [("text", _one_hot(draw, sparse=True), TEXT), ("numbers", "passthrough", ["quantity", FLAG.name])]
    return Preprocessing(ColumnTransformer(steps, sparse_threshold=1.0), (*NUMBERS, FLAG, *TEXTS))


def imputed(draw: Draw) -> Preprocessing:
    """Return imputed numbers and text codes, for trees that take no missing values."""
    numbers = SimpleImputer(strategy=draw.choice(["mean", "median", "most_frequent"]))
    code = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    text = make_pipeline(SimpleImputer(missing_values=None, strategy="most_frequent"), code)
    steps = [("numbers", numbers, [*NUMERIC, FLAG.name]), ("text", text, TEXT)]
    return Preprocessing(ColumnTransformer(steps), (*NUMBERS, FLAG, *TEXTS))


def for_linear(draw: Draw) -> Preprocessing:
    """Return imputed, scaled numbers and one-hot text."""
    numbers = make_pipeline(SimpleImputer(add_indicator=draw.choice([True, False])), StandardScaler())
    steps = [("numbers", numbers, [*NUMERIC, FLAG.name]), ("text", _one_hot(draw), TEXT)]
    return Preprocessing(ColumnTransformer(steps), (*NUMBERS, FLAG, *TEXTS))


def _numeric(transformer: Callable[[Draw], Any], *, impute: bool = True) -> Callable[[Draw], Preprocessing]:
    """Return a preprocessing of the number columns alone, imputed first unless the transformer takes NaN."""

    def prepared(draw: Draw) -> Preprocessing:
        first = [SimpleImputer(strategy="median")] if impute else []
        last = [] if impute else [SimpleImputer()]
        return Preprocessing(make_pipeline(*first, transformer(draw), *last), NUMBERS)

    return prepared


def _textual(encoder: Callable[[Draw], Any]) -> Callable[[Draw], Preprocessing]:
    """Return a preprocessing of the text columns, the flag and a whole number as categories."""

    def prepared(draw: Draw) -> Preprocessing:
        names = [*TEXT, FLAG.name, "quantity"]
        steps = [("categories", encoder(draw), names), ("number", SimpleImputer(), ["ratio"])]
        return Preprocessing(ColumnTransformer(steps), (*TEXTS, FLAG, NUMBERS[3], NUMBERS[1]))

    return prepared


def _ordinal(draw: Draw) -> OrdinalEncoder:
    unknown = draw.choice([None, -1, 99])
    handle = "error" if unknown is None else "use_encoded_value"
    missing = draw.choice([-2, 77])
    frequency = draw.choice([None, 9])
    return OrdinalEncoder(
        handle_unknown=handle, unknown_value=unknown, encoded_missing_value=missing, min_frequency=frequency
    )


def _imputer(draw: Draw) -> Any:
    strategy = draw.choice(["mean", "median", "most_frequent", "constant"])
    marker = draw.choice([np.nan, -1.0])
    again = [SimpleImputer()] if marker == -1 else []
    imputer = SimpleImputer(
        missing_values=marker, strategy=strategy, add_indicator=draw.choice([True, False])
    )
    return make_pipeline(*reversed([imputer, *again]))


def _text_imputer(draw: Draw) -> Any:
    marker = draw.choice([None, np.nan])
    strategy = draw.choice(["constant", "most_frequent"]) if marker is None else "most_frequent"
    return make_pipeline(
        SimpleImputer(missing_values=marker, strategy=strategy, fill_value="(none)"), _one_hot(draw)
    )


def _text_only(encoder: Callable[[Draw], Any]) -> Callable[[Draw], Preprocessing]:
    def prepared(draw: Draw) -> Preprocessing:
        steps = [("text", encoder(draw), TEXT), ("number", SimpleImputer(), ["ratio"])]
        return Preprocessing(ColumnTransformer(steps), (*TEXTS, NUMBERS[1]))

    return prepared


def _words(draw: Draw) -> Preprocessing:
    vectorizer = TextVectorizer(
        max_features=draw.choice([3, 40]),
        ngram_range=draw.choice([(1, 1), (1, 2), (2, 2)]),
        min_df=2,
        norm=draw.choice(["l2", None]),
        sparse_output=draw.choice([True, False]),
    )
    steps = [("words", vectorizer, [NOTES.name, "plan"]), ("number", SimpleImputer(), ["ratio"])]
    return Preprocessing(ColumnTransformer(steps), (NOTES, TEXTS[1], NUMBERS[1]))


def _characters(draw: Draw) -> Preprocessing:
    root = [FunctionTransformer(np.sqrt)] if draw.choice([True, False]) else []
    scale = draw.choice([None, StandardScaler(), RobustSmoothClip()])
    counts = make_pipeline(TextStatistics(), *root, *([] if scale is None else [scale]))
    steps = [("characters", counts, [NOTES.name, "plan"]), ("number", SimpleImputer(), ["ratio"])]
    return Preprocessing(ColumnTransformer(steps), (NOTES, TEXTS[1], NUMBERS[1]))


def _indicator(draw: Draw) -> Preprocessing:
    features = draw.choice(["all", "missing-only"])
    union = FeatureUnion([("values", SimpleImputer()), ("missing", MissingIndicator(features=features))])
    return Preprocessing(union, NUMBERS)


def _dates(draw: Draw) -> Preprocessing:
    cyclical = draw.choice([True, False])
    parts = ("year", "quarter", "month", "day", "weekday", "day_of_year", "hour", "minute", "second", "epoch")
    vectorizer = DateTimeVectorizer(parts, cyclical=cyclical)
    steps = [("dates", make_pipeline(vectorizer, SimpleImputer(), StandardScaler()), DATES)]
    return Preprocessing(ColumnTransformer(steps), MOMENTS)


def _remainder(draw: Draw) -> Preprocessing:
    steps = [("drop", "drop", ["price"]), ("scale", StandardScaler(), [1, 3])]
    transformer = make_pipeline(ColumnTransformer(steps, remainder="passthrough"), SimpleImputer())
    return Preprocessing(transformer, NUMBERS)


def _logs(draw: Draw) -> Any:
    function = draw.choice(
        [np.log1p, np.cbrt, np.abs, np.square, np.tanh, np.sin, np.cos, np.sign, np.negative]
    )
    return make_pipeline(FunctionTransformer(np.abs), FunctionTransformer(function), FunctionTransformer())


TRANSFORMERS: dict[str, Callable[[Draw], Preprocessing]] = {
    "date-time": _dates,
    "function": _numeric(_logs),
    "function-expm1": _numeric(lambda draw: make_pipeline(StandardScaler(), FunctionTransformer(np.expm1))),
    "imputer": _numeric(_imputer, impute=False),
    "indicator": _indicator,
    "k-bins": _numeric(
        lambda draw: KBinsDiscretizer(
            n_bins=draw.integer(2, 6),
            encode=draw.choice(["onehot", "onehot-dense", "ordinal"]),
            strategy=draw.choice(["uniform", "quantile"]),
        )
    ),
    "max-abs": _numeric(lambda draw: MaxAbsScaler(), impute=False),
    "min-max": _numeric(
        lambda draw: MinMaxScaler(draw.choice([(0, 1), (-2, 3)]), clip=draw.choice([True, False])),
        impute=False,
    ),
    "normalizer": _numeric(lambda draw: Normalizer(draw.choice(["l1", "l2", "max"]))),
    "one-hot": _textual(_one_hot),
    "ordinal": _textual(_ordinal),
    "pca": _numeric(lambda draw: make_pipeline(StandardScaler(), PCA(3, whiten=draw.choice([True, False])))),
    "piecewise-linear": _numeric(lambda draw: PiecewiseLinear(draw.integer(1, 9)), impute=False),
    "polynomial": _numeric(
        lambda draw: make_pipeline(
            StandardScaler(),
            PolynomialFeatures(
                draw.integer(1, 3),
                include_bias=draw.choice([True, False]),
                interaction_only=draw.choice([True, False]),
            ),
        )
    ),
    "quantile": _numeric(lambda draw: QuantileTransformer(n_quantiles=draw.choice([7, 50])), impute=False),
    "quantile-normal": _numeric(lambda draw: QuantileNormal(draw.choice([2, 40])), impute=False),
    "remainder": _remainder,
    "robust": _numeric(lambda draw: RobustScaler(with_centering=draw.choice([True, False])), impute=False),
    "robust-smooth-clip": _numeric(lambda draw: RobustSmoothClip(), impute=False),
    "standard": _numeric(
        lambda draw: StandardScaler(
            with_mean=draw.choice([True, False]), with_std=draw.choice([True, False])
        ),
        impute=False,
    ),
    "target-encoder": _textual(lambda draw: TargetEncoder(random_state=0)),
    "text-imputer": _text_only(_text_imputer),
    "text": _words,
    "characters": _characters,
    "truncated-svd": _numeric(lambda draw: make_pipeline(StandardScaler(), TruncatedSVD(2, random_state=0))),
}
INEXACT = (
    "date-time",
    "function",
    "function-expm1",
    "normalizer",
    "pca",
    "polynomial",
    "quantile",
    "target-encoder",
)
"""Transformers after which a tree may take another branch: their values differ by an ulp."""
INEXACT += ("truncated-svd",)
