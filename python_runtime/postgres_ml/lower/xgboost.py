"""XGBClassifier, XGBRegressor, their random-forest kin, and a Booster itself: trees, link, label rule.

Source: xgboost python-package/xgboost/sklearn.py (predict, predict_proba, _get_iteration_range);
src/common/math.h (Sigmoid, Softmax), src/objective/regression_obj.cu, multiclass_obj.cu.
Exactness: margins equal to the last bit (checked against the Booster's own on 64 rows before anything is
returned); labels equal always: the limit of two classes is the smallest single-precision margin that the
library's own sigmoid takes above the threshold; probabilities within 2 ulps
of single precision (libm's expf).
Refused: gblinear; several targets; vector leaves; custom objectives; missing other than NaN; categories
that xgboost takes from a data frame (encode them with an OrdinalEncoder and give feature_types).
"""

from __future__ import annotations

import functools
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from postgres_ml.lower.builder import (
    MAX_FLOAT32,
    Builder,
    Facts,
    Matrix,
    Scores,
    several_classes,
    unsupported,
)
from postgres_ml.lower.linear import PROBABILITY, complemented
from postgres_ml.lower.xgboost_booster import BoosterParts, ensemble, margins_of, predictions_at, read_booster
from postgres_ml.program.encoders import NullIf, Number
from postgres_ml.program.interpret import slots as interpret_slots
from postgres_ml.program.program import BinaryLabel, Input, MulticlassLabel, Program, Step, Value
from postgres_ml.program.scorers import Link, TreeEnsemble

IDENTITY = (
    "reg:squarederror", "reg:squaredlogerror", "reg:pseudohubererror", "reg:absoluteerror",
    "reg:quantileerror", "binary:logitraw", "rank:ndcg", "rank:map", "rank:pairwise",
)  # fmt: skip
EXPONENTIAL = ("reg:gamma", "reg:tweedie", "count:poisson", "survival:cox", "survival:aft")
LOGISTIC = ("reg:logistic", "binary:logistic")
MULTICLASS = ("multi:softprob", "multi:softmax")


def parse_xgb_regressor(estimator: Any, matrix: Matrix, builder: Builder) -> Scores:
    """Return the margin through the objective's link."""
    parts, margins = _margins(estimator, estimator.get_booster(), _n_rounds(estimator), matrix, builder)
    return Scores(Value(_value(estimator, parts, margins, builder)))


def parse_xgb_classifier(estimator: Any, matrix: Matrix, builder: Builder) -> Scores:
    """Return labels and probabilities.

    The labels are 0 … n-1: xgboost knows no others (`LabelEncodedClassifier` maps them back).
    """
    parts, margins = _margins(estimator, estimator.get_booster(), _n_rounds(estimator), matrix, builder)
    labels = several_classes(estimator)
    if parts.objective in MULTICLASS:
        return _multiclass(parts, labels, margins, builder)
    if parts.objective == "binary:hinge":
        # its transform gives 1 where the margin is > 0
        return Scores(BinaryLabel(labels, margins[0], ">", 0.0, ()))
    if parts.objective == "binary:logitraw":
        # predict compares the margin itself with 0.5
        return Scores(BinaryLabel(labels, margins[0], ">", 0.5, ()))
    if parts.objective not in LOGISTIC:
        raise unsupported(estimator, f"objective={parts.objective!r}")
    positive = builder.add(Link(margins, "logistic", "float32"), PROBABILITY)
    probabilities = complemented(positive, builder)
    rule = functools.partial(_binary_label, parts, labels, margins[0], probabilities)
    return Scores(rule(">", 0.5), at_threshold=functools.partial(rule, ">="))


def parse_booster(booster: Any, matrix: Matrix, builder: Builder) -> Scores:
    """Return what Booster.predict returns of all rounds; for multi:softprob the most likely class's number.

    A Booster predicts from a DMatrix, which refuses infinities in any column (the estimators' in-place
    prediction takes them).
    """
    for slot in builder.numbers(matrix):
        builder.refuse(slot, missing=False, above=MAX_FLOAT32)
    parts, margins = _margins(booster, booster, None, matrix, builder)
    if parts.objective in MULTICLASS:
        return _multiclass(parts, tuple(range(parts.n_groups)), margins, builder)
    if parts.objective == "binary:hinge":
        return Scores(BinaryLabel((0.0, 1.0), margins[0], ">", 0.0, ()))
    return Scores(Value(_value(booster, parts, margins, builder)))


def _n_rounds(estimator: Any) -> int | None:
    """Return how many rounds `predict` uses: up to the best one where training stopped early."""
    try:
        return int(estimator.best_iteration) + 1
    except AttributeError:
        return None


def _margins(
    estimator: Any, booster: Any, n_rounds: int | None, matrix: Matrix, builder: Builder
) -> tuple[BoosterParts, tuple[int, ...]]:
    missing = getattr(estimator, "missing", np.nan)
    if missing is not None and not np.isnan(missing):
        raise unsupported(estimator, f"missing={missing!r}", "use NULL for missing values")
    in_place = estimator is not booster
    parts = read_booster(booster, n_rounds, in_place=in_place)
    slots = builder.numbers(matrix)
    if len(slots) != parts.n_features:
        raise unsupported(estimator, f"{parts.n_features} features for {len(slots)} columns")
    for feature in parts.categorical:
        if not builder.facts[slots[feature]].whole:
            detail = f"categorical feature {feature} of a column that may hold fractions"
            raise unsupported(estimator, detail, "encode it with an OrdinalEncoder")
    if matrix.sparse:
        slots = tuple(_zero_is_missing(slot, builder) for slot in slots)
    step = ensemble(parts, slots)
    _check_margins(estimator, parts, margins_of(booster, _probe_rows(parts), n_rounds, in_place=in_place))
    return parts, builder.add_wide(step, Facts(False))


def _zero_is_missing(slot: int, builder: Builder) -> int:
    known = builder.facts[slot]
    return builder.add(NullIf(slot, 0.0), Facts(True, known.limit, known.whole))


def _value(estimator: Any, parts: BoosterParts, margins: tuple[int, ...], builder: Builder) -> int:
    if parts.objective in IDENTITY and parts.n_groups == 1:
        return margins[0]
    if parts.objective in LOGISTIC:
        return builder.add(Link(margins, "logistic", "float32"), PROBABILITY)
    if parts.objective in EXPONENTIAL:
        return builder.add(Link(margins, "exp", "float32"), Facts(False))
    raise unsupported(estimator, f"objective={parts.objective!r}")


def _multiclass(
    parts: BoosterParts, labels: tuple[Any, ...], margins: tuple[int, ...], builder: Builder
) -> Scores:
    probabilities = builder.add_wide(Link(margins, "softmax", "float32"), PROBABILITY)
    # multi:softmax compares margins, multi:softprob's labels are the argmax of rounded probabilities
    scores = margins if parts.objective == "multi:softmax" else probabilities
    return Scores(MulticlassLabel(labels, scores, probabilities))


def _binary_label(
    parts: BoosterParts,
    labels: tuple[Any, Any],
    margin: int,
    probabilities: tuple[int, int],
    operator: Literal[">", ">="],
    threshold: float,
) -> BinaryLabel:
    limit = margin_threshold(parts, operator, threshold)
    return BinaryLabel(labels, margin, ">=", limit, probabilities)


def margin_threshold(parts: BoosterParts, operator: Literal[">", ">="], threshold: float) -> float:
    """Return the smallest single-precision margin whose probability, by xgboost's own sigmoid, is above.

    Parameters
    ----------
    operator, threshold : what the probability, as a double, is compared with
    """
    low, high = _ordinal(np.float32(-200)), _ordinal(np.float32(200))
    while high - low > 1:
        candidates = np.unique(np.linspace(low, high, 4096).astype(np.int64))
        probabilities = predictions_at(parts.stub, _from_ordinal(candidates), parts.n_features)
        probabilities = probabilities.astype(np.float64)
        above = probabilities > threshold if operator == ">" else probabilities >= threshold
        first = int(np.argmax(above)) if above.any() else len(above) - 1
        low, high = int(candidates[max(first - 1, 0)]), int(candidates[first])
    return float(_from_ordinal(np.array([high]))[0])


def _ordinal(value: np.float32) -> int:
    """Return the float's place in the order of all floats."""
    bits = int(value.view(np.int32))
    return bits if bits >= 0 else -(bits & 0x7FFFFFFF)


def _from_ordinal(ordinals: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    magnitude = np.abs(ordinals).astype(np.int32).view(np.float32)
    return np.where(ordinals < 0, -magnitude, magnitude)


def _check_margins(estimator: Any, parts: BoosterParts, theirs: npt.NDArray[np.float32]) -> None:
    """Raise if the trees as read here give another margin than the Booster in any of the probe rows."""
    probe = _probe_rows(parts)
    inputs = tuple(Input(f"f{i}", "real", "number") for i in range(parts.n_features))
    step: TreeEnsemble = ensemble(parts, tuple(range(parts.n_features)))
    steps: tuple[Step, ...] = (*(Number(i) for i in range(parts.n_features)), step)
    program = Program(inputs, steps, (), Value(parts.n_features), "real")
    ours = interpret_slots(program, {item.name: probe[:, i].tolist() for i, item in enumerate(inputs)})
    if not np.array_equal(ours[:, parts.n_features :].astype(np.float32), theirs):
        worst = float(np.max(np.abs(ours[:, parts.n_features :] - theirs)))
        detail = f"a margin that differs from the Booster's own by {worst:.3g}"
        raise unsupported(estimator, detail, parts.unknown or "report this as a bug")


def _probe_rows(parts: BoosterParts, n_rows: int = 64) -> npt.NDArray[np.float32]:
    """Return rows of thresholds, their neighbours below, category codes and missing values."""
    random = np.random.default_rng(0)
    candidates: dict[int, list[float]] = {i: [0.0, np.nan] for i in range(parts.n_features)}
    for tree in parts.trees:
        for feature, threshold in zip(tree.split_index, tree.threshold, strict=True):
            if feature >= 0 and threshold == threshold:
                candidates[feature].append(threshold)
    for feature in parts.categorical:
        candidates[feature] += range(32)
    probe = np.empty((n_rows, parts.n_features), dtype=np.float32)
    for feature, values in candidates.items():
        probe[:, feature] = random.choice(np.array(values, dtype=np.float32), size=n_rows)
    below = random.random(probe.shape) < 0.5
    below[:, list(parts.categorical)] = False
    return np.where(below, np.nextafter(probe, np.float32(-np.inf)), probe)
