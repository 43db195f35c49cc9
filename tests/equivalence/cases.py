"""What is compared: estimators, preprocessing and problem types, as data that any runtime's test can use.

Take a case, call `case.fit(draw)`, parse the fitted pipeline, and compare a runtime with `expected_of`.
`SeededDraw(seed)` draws without hypothesis.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from equivalence import estimators as make
from equivalence import preprocessing as prepare
from equivalence.draw import Draw, draw_frame, draw_targets
from equivalence.oracle import Fitted
from sklearn.base import is_classifier, is_clusterer
from sklearn.ensemble import IsolationForest
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline

Scores = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class Case:
    """An estimator behind preprocessing, on a problem.

    Parameters
    ----------
    estimator : draws an unfitted estimator
    preprocessing : draws a transformer, and says which inputs it reads
    problem : 'regression', 'binary' or 'multiclass'
    tolerance : 0 demands equal bits of the scores; see `check_predictions`
    scores : raw scores to compare to the last bit; None where predictions say it all
    span : regression targets are brought into (0, span)
    frozen : the fitted pipeline is put into a FrozenEstimator
    """

    name: str
    estimator: Callable[[Draw], Any]
    preprocessing: Callable[[Draw], prepare.Preprocessing]
    problem: str
    tolerance: float = 1e-9
    scores: Scores | None = None
    span: float = 5.0
    frozen: bool = False

    def fit(self, draw: Draw, n_rows: int = 160) -> Fitted:
        """Return a pipeline fitted on drawn data."""
        chosen = self.preprocessing(draw)
        frame = draw_frame(draw, n_rows, nulls=chosen.nulls)
        target = draw_targets(frame, draw)[self.problem]
        if self.problem == "regression":
            target = (target - target.min() + 0.01) / (np.ptp(target) + 0.02) * self.span
        frame = frame[[item.name for item in chosen.inputs]]
        estimator = self.estimator(draw)
        pipeline = Pipeline([("prepare", chosen.transformer), ("estimate", estimator)])
        if chosen.transformer is None:
            pipeline = estimator
        pipeline.fit(frame, target)
        return_type = "text" if is_classifier(estimator) else "double precision"
        if is_clusterer(estimator) or isinstance(estimator, IsolationForest):
            return_type = "integer"
        if self.frozen:
            pipeline = FrozenEstimator(pipeline)
        return Fitted(pipeline, chosen.inputs, frame, return_type)


def _margin(pipeline: Any, frame: Any) -> Any:
    """Return xgboost's own margins."""
    estimator = pipeline.steps[-1][1]
    estimator = getattr(estimator, "estimator_", estimator)
    return estimator.predict(pipeline[:-1].transform(frame), output_margin=True)


def _decision(pipeline: Any, frame: Any) -> Any:
    return pipeline.decision_function(frame)


def _probability(pipeline: Any, frame: Any) -> Any:
    return pipeline.predict_proba(frame)


def _prediction(pipeline: Any, frame: Any) -> Any:
    return np.asarray(pipeline.predict(frame), dtype=np.float64)


def _distances(pipeline: Any, frame: Any) -> Any:
    return pipeline.transform(frame)


def _depths(pipeline: Any, frame: Any) -> Any:
    """Return the sums of depths that an isolation forest makes its scores of, as the library adds them."""
    last = pipeline.steps[-1][1]
    forest = last if isinstance(last, IsolationForest) else last.estimator_
    rows = pipeline[:-1].transform(frame)
    rows = rows.astype(np.float32) if hasattr(rows, "astype") else np.asarray(rows, dtype=np.float32)
    rows = getattr(rows, "tocsr", lambda: np.asarray(rows))()
    depths = np.zeros(rows.shape[0])
    for number, (tree, features) in enumerate(
        zip(forest.estimators_, forest.estimators_features_, strict=True)
    ):
        columns = rows if forest._max_features == rows.shape[1] else rows[:, features]
        leaves = tree.apply(columns, check_input=False)
        depths += (
            forest._decision_path_lengths[number][leaves]
            + forest._average_path_length_per_tree[number][leaves]
            - 1.0
        )
    return depths


def _tree_cases() -> list[Case]:
    """Return tree ensembles behind the least preprocessing they take: exact to the last bit."""
    cases = []
    for name, classifier, regressor, scores, preparation in (
        ("xgboost", make.xgb_classifier, make.xgb_regressor, _margin, prepare.for_trees),
        ("xgboost-forest", make.xgb_forest_classifier, make.xgb_forest_regressor, _margin, prepare.for_trees),
        ("xgboost-dart", make.xgb_dart_classifier, make.xgb_dart_regressor, _margin, prepare.for_trees),
        (
            "xgboost-categories",
            make.xgb_native_classifier,
            make.xgb_native_regressor,
            _margin,
            prepare.native,
        ),
        ("xgboost-sparse", make.xgb_classifier, make.xgb_regressor, _margin, prepare.sparse),
        ("tree", make.tree_classifier, make.tree_regressor, _probability, prepare.for_trees),
        ("extra-tree", make.extra_tree_classifier, make.extra_tree_regressor, _probability, prepare.imputed),
        ("forest", make.forest_classifier, make.forest_regressor, _probability, prepare.for_trees),
        (
            "extra-trees",
            make.extra_trees_classifier,
            make.extra_trees_regressor,
            _probability,
            prepare.imputed,
        ),
        ("gradient-boosting", make.gb_classifier, make.gb_regressor, _decision, prepare.imputed),
        ("hist-gradient-boosting", make.hgb_classifier, make.hgb_regressor, _decision, prepare.for_trees),
        ("hist-categories", make.hgb_native_classifier, make.hgb_native_regressor, _decision, prepare.native),
    ):
        cases.extend(
            Case(f"{name}-{problem}", classifier, preparation, problem, 0.0, scores)
            for problem in ("binary", "multiclass")
        )
        raw = _margin if name.startswith("xgboost") else _prediction
        cases.append(Case(f"{name}-regression", regressor, preparation, "regression", 0.0, raw))
    return cases


def _objective_cases() -> list[Case]:
    """Return one case for each objective of xgboost."""
    cases = []
    for objective in make.XGB_REGRESSION:
        name = f"xgboost-{objective.replace(':', '-')}"
        estimator, span = make.xgb_objective(objective), 1.0 if objective == "reg:logistic" else 5.0
        # exp and logistic are libm's: the margin is exact, the prediction within 2 ulps of single precision
        tolerance = 0.0 if objective in make.XGB_IDENTITY else 2.4e-7
        cases.append(Case(name, estimator, prepare.for_trees, "regression", tolerance, _margin, span))
    for objective in make.XGB_BINARY:
        name = f"xgboost-{objective.replace(':', '-')}"
        cases.append(Case(name, make.xgb_objective(objective), prepare.for_trees, "binary", 0.0, _margin))
    name = "xgboost-multi-softmax"
    cases.append(
        Case(name, make.xgb_objective("multi:softmax"), prepare.for_trees, "multiclass", 0.0, _margin)
    )
    cases.append(
        Case("xgboost-threshold", make.xgb_with_threshold, prepare.for_trees, "binary", 0.0, _margin)
    )
    cases.append(
        Case("xgboost-factors", make.xgb_with_factors, prepare.for_trees, "multiclass", 0.0, _margin)
    )
    return cases


def _other_cases() -> list[Case]:
    """Return estimators that compute with BLAS or libm: equal within 1e-9."""
    cases = []
    for name, maker in make.LINEAR_REGRESSORS.items():
        cases.append(Case(name, maker, prepare.for_linear, "regression"))
    for name, maker in make.CLASSIFIERS.items():
        cases.extend(
            Case(f"{name}-{problem}", maker, prepare.for_linear, problem)
            for problem in ("binary", "multiclass")
        )
    for name, maker in make.BINARY_CLASSIFIERS.items():
        cases.append(Case(name, maker, prepare.for_linear, "binary"))
    for name, maker in make.MULTICLASS_CLASSIFIERS.items():
        cases.append(Case(name, maker, prepare.for_linear, "multiclass"))
    for name, maker in make.OTHER_REGRESSORS.items():
        cases.append(Case(name, maker, prepare.for_linear, "regression", tolerance=2e-7))
    for name, maker in make.CLUSTERERS.items():
        cases.append(Case(name, maker, prepare.for_linear, "regression", scores=_distances))
    cases.extend(
        Case(f"additive-{problem}", make.additive_classifier, prepare.coded, problem)
        for problem in ("binary", "multiclass")
    )
    cases.append(Case("additive-regression", make.additive_regressor, prepare.coded, "regression", 0.0))
    for name, preparation in (("", prepare.for_trees), ("-sparse", prepare.sparse)):
        name = f"isolation-forest{name}"
        cases.append(Case(name, make.isolation_forest, preparation, "regression", 0.0, _depths))
        name = name.replace("isolation-forest", "anomaly-detector")
        cases.append(Case(name, make.anomaly_detector, preparation, "regression", 1e-12, _depths))
    cases.append(Case("frozen", make.ridge, prepare.for_linear, "regression", frozen=True))
    return cases


def _preprocessing_cases() -> list[Case]:
    """Return each transformer before a linear model (values) and a tree (exact bits near the splits)."""
    cases = []
    for name, preparation in prepare.TRANSFORMERS.items():
        problem = "multiclass" if name == "target-encoder" else "regression"
        linear = make.logistic if problem == "multiclass" else make.ridge
        cases.append(Case(f"{name}-linear", linear, preparation, problem))
        if name not in prepare.INEXACT:
            cases.append(Case(f"{name}-trees", make.xgb_regressor, preparation, "regression", 0.0))
    return cases


CASES = [*_tree_cases(), *_objective_cases(), *_other_cases(), *_preprocessing_cases()]
"""Every case, names distinct."""
