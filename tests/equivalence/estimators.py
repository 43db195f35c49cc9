"""Drawn estimators, small enough that fitting takes a fraction of a second."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from equivalence.draw import Draw
from postgres_ml.components.additive import AdditiveClassifier, AdditiveRegressor
from postgres_ml.components.anomaly import AnomalyDetector
from postgres_ml.components.estimators import (
    BlendedClassifier,
    BlendedRegressor,
    LabelEncodedClassifier,
    LogTargetRegressor,
)
from postgres_ml.components.neural_network import NetworkClassifier, NetworkRegressor
from postgres_ml.components.stacking import OutOfFoldScores
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.linear_model import (
    ElasticNet,
    Lasso,
    LinearRegression,
    LogisticRegression,
    Ridge,
    RidgeClassifier,
    SGDClassifier,
    SGDRegressor,
)
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import (
    DecisionTreeClassifier,
    DecisionTreeRegressor,
    ExtraTreeClassifier,
    ExtraTreeRegressor,
)
from xgboost import XGBClassifier, XGBRegressor, XGBRFClassifier, XGBRFRegressor

Maker = Callable[[Draw], Any]


def _trees(draw: Draw) -> dict[str, Any]:
    return {
        "n_estimators": draw.integer(1, 12),
        "max_depth": draw.integer(1, 5),
        "learning_rate": draw.choice([0.05, 0.3]),
        "random_state": 0,
        "n_jobs": 1,
    }


def _xgb(draw: Draw) -> dict[str, Any]:
    return _trees(draw) | {
        "base_score": draw.choice([None, 0.3]),
        "grow_policy": draw.choice(["depthwise", "lossguide"]),
        "num_parallel_tree": draw.choice([1, 2]),
        "subsample": 0.9,
    }


def _encoded(estimator: Any) -> LabelEncodedClassifier:
    return LabelEncodedClassifier(estimator)


def xgb_classifier(draw: Draw) -> Any:
    return _encoded(XGBClassifier(**_xgb(draw)))


def xgb_regressor(draw: Draw) -> Any:
    return XGBRegressor(**_xgb(draw))


def xgb_forest_classifier(draw: Draw) -> Any:
    return _encoded(XGBRFClassifier(n_estimators=draw.integer(1, 6), max_depth=4, random_state=0, n_jobs=1))


def xgb_forest_regressor(draw: Draw) -> Any:
    return XGBRFRegressor(n_estimators=draw.integer(1, 6), max_depth=4, random_state=0, n_jobs=1)


def _dart(draw: Draw) -> dict[str, Any]:
    return _trees(draw) | {
        "booster": "dart",
        "rate_drop": 0.5,
        "normalize_type": draw.choice(["tree", "forest"]),
    }


def xgb_dart_classifier(draw: Draw) -> Any:
    return _encoded(XGBClassifier(**_dart(draw)))


def xgb_dart_regressor(draw: Draw) -> Any:
    return XGBRegressor(**_dart(draw))


def _native(draw: Draw) -> dict[str, Any]:
    return _trees(draw) | {
        "enable_categorical": True,
        "feature_types": ["c", "c", "q", "q", "q", "q", "q"],
        "max_cat_to_onehot": draw.choice([1, 10]),
    }


def xgb_native_classifier(draw: Draw) -> Any:
    return _encoded(XGBClassifier(**_native(draw)))


def xgb_native_regressor(draw: Draw) -> Any:
    return XGBRegressor(**_native(draw))


XGB_IDENTITY = (
    *("reg:squarederror", "reg:squaredlogerror", "reg:pseudohubererror", "reg:absoluteerror"),
    "reg:quantileerror",
)
XGB_REGRESSION = (*XGB_IDENTITY, "reg:logistic", "reg:tweedie", "reg:gamma", "count:poisson")
XGB_BINARY = ("binary:logistic", "binary:hinge", "binary:logitraw")


def xgb_objective(objective: str) -> Maker:
    """Return a maker of estimators with the objective."""

    def make(draw: Draw) -> Any:
        if objective in XGB_BINARY or objective.startswith("multi:"):
            return _encoded(XGBClassifier(objective=objective, **_trees(draw)))
        more = {"quantile_alpha": draw.choice([0.1, 0.5, 0.9])} if objective == "reg:quantileerror" else {}
        return XGBRegressor(objective=objective, **_trees(draw), **more)

    return make


def xgb_with_threshold(draw: Draw) -> Any:
    return LabelEncodedClassifier(XGBClassifier(**_xgb(draw)), threshold=draw.choice([0.05, 0.31, 0.5, 0.9]))


def _sklearn_tree(draw: Draw) -> dict[str, Any]:
    return {"max_depth": draw.choice([None, 2, 5]), "random_state": 0, "min_samples_leaf": draw.integer(1, 4)}


def tree_classifier(draw: Draw) -> Any:
    return DecisionTreeClassifier(**_sklearn_tree(draw))


def tree_regressor(draw: Draw) -> Any:
    return DecisionTreeRegressor(**_sklearn_tree(draw))


def extra_tree_classifier(draw: Draw) -> Any:
    return ExtraTreeClassifier(**_sklearn_tree(draw))


def extra_tree_regressor(draw: Draw) -> Any:
    return ExtraTreeRegressor(**_sklearn_tree(draw))


def _forest(draw: Draw) -> dict[str, Any]:
    return _sklearn_tree(draw) | {"n_estimators": draw.integer(1, 9)}


def forest_classifier(draw: Draw) -> Any:
    return RandomForestClassifier(**_forest(draw))


def forest_regressor(draw: Draw) -> Any:
    return RandomForestRegressor(**_forest(draw))


def extra_trees_classifier(draw: Draw) -> Any:
    return ExtraTreesClassifier(**_forest(draw))


def extra_trees_regressor(draw: Draw) -> Any:
    return ExtraTreesRegressor(**_forest(draw))


def _boosting(draw: Draw) -> dict[str, Any]:
    return {
        "n_estimators": draw.integer(1, 9),
        "init": draw.choice([None, "zero"]),
        "learning_rate": draw.choice([0.1, 0.7]),
        "random_state": 0,
    }


def gb_classifier(draw: Draw) -> Any:
    return GradientBoostingClassifier(**_boosting(draw))


def gb_regressor(draw: Draw) -> Any:
    loss = draw.choice(["squared_error", "absolute_error", "huber", "quantile"])
    return GradientBoostingRegressor(loss=loss, **_boosting(draw))


def _hist(draw: Draw) -> dict[str, Any]:
    return {"max_iter": draw.integer(1, 9), "max_leaf_nodes": draw.integer(2, 12), "min_samples_leaf": 5}


def hgb_classifier(draw: Draw) -> Any:
    return HistGradientBoostingClassifier(random_state=0, **_hist(draw))


def hgb_regressor(draw: Draw) -> Any:
    loss = draw.choice(["squared_error", "absolute_error"])
    return HistGradientBoostingRegressor(loss=loss, random_state=0, **_hist(draw))


def hgb_native_classifier(draw: Draw) -> Any:
    return HistGradientBoostingClassifier(categorical_features=[0, 1], random_state=0, **_hist(draw))


def hgb_native_regressor(draw: Draw) -> Any:
    return HistGradientBoostingRegressor(categorical_features=[0, 1], random_state=0, **_hist(draw))


def ridge(draw: Draw) -> Any:
    return Ridge(alpha=draw.choice([0.1, 10.0]), fit_intercept=draw.choice([True, False]))


def logistic(draw: Draw) -> Any:
    return LogisticRegression(C=draw.choice([0.1, 10.0]), max_iter=300)


def _mlp(draw: Draw) -> dict[str, Any]:
    return {
        "hidden_layer_sizes": draw.choice([(5,), (8, 4)]),
        "activation": draw.choice(["identity", "relu", "tanh", "logistic"]),
        "max_iter": 20,
        "random_state": 0,
    }


def _network(draw: Draw) -> dict[str, Any]:
    return {
        "hidden_layer_sizes": draw.choice([(5,), (8, 4)]),
        "activation": draw.choice(["silu", "relu", "tanh"]),
        "n_epochs": 8,
        "random_state": 0,
    }


def _calibrated(draw: Draw) -> Any:
    inner = draw.choice([LinearSVC(), RandomForestClassifier(3, max_depth=3, random_state=0)])
    method = draw.choice(["sigmoid", "isotonic"])
    return CalibratedClassifierCV(inner, method=method, cv=2, ensemble=draw.choice([True, False]))


def _tempered(draw: Draw) -> Any:
    inner = draw.choice([LogisticRegression(), RandomForestClassifier(3, max_depth=3, random_state=0)])
    return CalibratedClassifierCV(inner, method="temperature", cv=2)


def _voting(draw: Draw) -> Any:
    members = [("a", LogisticRegression()), ("b", DecisionTreeClassifier(max_depth=3, random_state=0))]
    return VotingClassifier(members, voting="soft", weights=draw.choice([None, [1, 3], [0.3, 0.7]]))


FACTORS = ([1.0, 0.4, 2.5], [0.05, 1.0, 0.3], [1.0, 1.0, 7.0])


def xgb_with_factors(draw: Draw) -> Any:
    return LabelEncodedClassifier(XGBClassifier(**_xgb(draw)), class_multipliers=draw.choice(FACTORS))


def _blended(draw: Draw) -> Any:
    members = [("linear", LogisticRegression()), ("trees", XGBClassifier(n_estimators=4, n_jobs=1))]
    return LabelEncodedClassifier(BlendedClassifier(members, draw.choice([[0.4, 0.6], [2, 1]])))


def _on_scores(draw: Draw, estimators: list[tuple[str, Any]], network: Any, **options: Any) -> Any:
    """Return a network on the matrix and on the scores of estimators that learned from it."""
    scores = OutOfFoldScores(estimators, n_folds=2, random_state=draw.integer(0, 9), **options)
    columns = draw.choice([FeatureUnion([("columns", "passthrough"), ("scores", scores)]), scores])
    return make_pipeline(columns, network)


def _stacked(draw: Draw) -> Any:
    below = [
        ("linear", LogisticRegression()),
        ("trees", XGBClassifier(n_estimators=4, n_jobs=1)),
        ("network", make_pipeline(StandardScaler(), NetworkClassifier(**_network(draw)))),
        ("forest", RandomForestClassifier(4, random_state=0)),
    ]
    return _encoded(_on_scores(draw, below, NetworkClassifier(**_network(draw))))


def _stacked_regressor(draw: Draw) -> Any:
    below = [("linear", Ridge()), ("trees", XGBRegressor(n_estimators=4, n_jobs=1))]
    return _on_scores(draw, below, NetworkRegressor(**_network(draw)), is_regression=True)


def _log_target(draw: Draw) -> Any:
    inner = draw.choice([Ridge(), XGBRegressor(n_estimators=4, n_jobs=1), NetworkRegressor((4,), n_epochs=4)])
    return LogTargetRegressor(inner)


LINEAR_REGRESSORS: dict[str, Maker] = {
    "linear-regression": lambda draw: LinearRegression(fit_intercept=draw.choice([True, False])),
    "ridge": ridge,
    "lasso": lambda draw: Lasso(alpha=draw.choice([0.01, 0.5])),
    "elastic-net": lambda draw: ElasticNet(alpha=0.05),
    "sgd-regressor": lambda draw: SGDRegressor(random_state=0),
}
CLASSIFIERS: dict[str, Maker] = {
    "logistic": logistic,
    "ridge-classifier": lambda draw: RidgeClassifier(),
    "linear-svc": lambda draw: LinearSVC(),
    "sgd-classifier": lambda draw: SGDClassifier(
        loss=draw.choice(["hinge", "log_loss", "modified_huber"]), random_state=0
    ),
    "mlp-classifier": lambda draw: MLPClassifier(**_mlp(draw)),
    "network-classifier": lambda draw: NetworkClassifier(**_network(draw)),
    "calibrated": _calibrated,
    "voting": _voting,
    "labels": lambda draw: LabelEncodedClassifier(LogisticRegression()),
    "blended": _blended,
    "stacked": _stacked,
}
if "temperature" in str(CalibratedClassifierCV._parameter_constraints["method"]):
    # scikit-learn 1.8 and newer
    CLASSIFIERS["tempered"] = _tempered
BINARY_CLASSIFIERS: dict[str, Maker] = {
    "fixed-threshold": lambda draw: FixedThresholdClassifier(
        LogisticRegression(),
        threshold=draw.choice(["auto", 0.2, 0.7]),
        response_method=draw.choice(["auto", "predict_proba", "decision_function"]),
    ),
    "tuned-threshold": lambda draw: TunedThresholdClassifierCV(LogisticRegression(), cv=2, thresholds=5),
    "gradient-boosting-exponential": lambda draw: GradientBoostingClassifier(
        loss="exponential", n_estimators=3, random_state=0
    ),
    "blended-threshold": lambda draw: LabelEncodedClassifier(
        BlendedClassifier(
            [("a", LogisticRegression()), ("b", DecisionTreeClassifier(max_depth=3, random_state=0))], [1, 2]
        ),
        threshold=0.3,
    ),
    "labels-threshold": lambda draw: LabelEncodedClassifier(
        RandomForestClassifier(4, random_state=0), threshold=draw.choice([0.25, 0.5])
    ),
}
MULTICLASS_CLASSIFIERS: dict[str, Maker] = {
    "labels-factors": lambda draw: LabelEncodedClassifier(
        LogisticRegression(), class_multipliers=draw.choice(FACTORS)
    ),
    "blended-factors": lambda draw: LabelEncodedClassifier(
        BlendedClassifier(
            [("linear", LogisticRegression()), ("trees", XGBClassifier(n_estimators=4, n_jobs=1))], [1, 2]
        ),
        class_multipliers=draw.choice(FACTORS),
    ),
}
OTHER_REGRESSORS: dict[str, Maker] = {
    "mlp-regressor": lambda draw: MLPRegressor(**_mlp(draw)),
    "stacked-regressor": _stacked_regressor,
    "network-regressor": lambda draw: NetworkRegressor(**_network(draw)),
    "voting-regressor": lambda draw: VotingRegressor(
        [("a", Ridge()), ("b", DecisionTreeRegressor(max_depth=3, random_state=0))],
        weights=draw.choice([None, [2, 1]]),
    ),
    "blended-regressor": lambda draw: BlendedRegressor(
        [("a", Ridge()), ("b", XGBRegressor(n_estimators=4, n_jobs=1))], draw.choice([[0.3, 0.7], [1, 1]])
    ),
    "log-target": _log_target,
    "transformed-target": lambda draw: TransformedTargetRegressor(
        draw.choice([Ridge(), XGBRegressor(n_estimators=4, n_jobs=1)]),
        func=np.log1p,
        inverse_func=np.expm1,
        check_inverse=False,
    ),
    "transformed-target-scaled": lambda draw: TransformedTargetRegressor(
        draw.choice([Ridge(), XGBRegressor(n_estimators=4, n_jobs=1)]),
        transformer=draw.choice([StandardScaler(), StandardScaler(with_std=False), MinMaxScaler()]),
    ),
    "hist-gradient-boosting-poisson": lambda draw: HistGradientBoostingRegressor(
        loss=draw.choice(["poisson", "gamma"]), max_iter=4
    ),
}


def _additive(draw: Draw) -> dict[str, Any]:
    return {
        "interactions": draw.choice([0, 3]),
        "max_bins": draw.choice([8, 64]),
        "max_interaction_bins": draw.choice([4, 16]),
        "max_rounds": 30,
        "outer_bags": draw.choice([1, 2]),
        "random_state": draw.integer(0, 9),
    }


def additive_classifier(draw: Draw) -> LabelEncodedClassifier:
    return LabelEncodedClassifier(AdditiveClassifier(categorical=(0, 1), **_additive(draw)))


def additive_regressor(draw: Draw) -> AdditiveRegressor:
    return AdditiveRegressor(categorical=(0, 1), **_additive(draw))


def isolation_forest(draw: Draw) -> IsolationForest:
    return IsolationForest(
        n_estimators=draw.integer(2, 6),
        max_samples=draw.choice(["auto", 32, 1.0]),
        max_features=draw.choice([1.0, 0.6]),
        contamination=draw.choice(["auto", 0.1, 0.5]),
        bootstrap=draw.choice([False, True]),
        random_state=draw.integer(0, 9),
    )


def anomaly_detector(draw: Draw) -> AnomalyDetector:
    return AnomalyDetector(isolation_forest(draw), has_rule=draw.choice([False, True]))


CLUSTERERS: dict[str, Maker] = {
    "k-means": lambda draw: KMeans(draw.integer(2, 5), n_init=1, random_state=0),
    "mini-batch-k-means": lambda draw: MiniBatchKMeans(draw.integer(2, 5), n_init=1, random_state=0),
}
