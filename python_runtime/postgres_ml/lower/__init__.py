"""Lowering: a fitted pipeline to a scoring program. One module per family of estimators.

Input: a fitted scikit-learn Pipeline, or an estimator or xgboost Booster alone, and the query's columns.
Output: a `Program` that `generate` turns into SQL or native code.

Every parser has the signature of `builder.Parser`. It reads fitted attributes and never runs the pipeline.
It raises UnsupportedModelError for everything that it doesn't know exactly; its module's docstring, of which
docs/support.md is made, says what that is under "Refused".
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from postgres_ml.contract.exceptions import UnsupportedModelError
from postgres_ml.lower.additive import parse_additive_classifier, parse_additive_regressor
from postgres_ml.lower.average import (
    parse_blended_classifier,
    parse_blended_regressor,
    parse_calibrated_classifier,
    parse_voting_classifier,
    parse_voting_regressor,
)
from postgres_ml.lower.builder import Builder, Matrix, Parser, RawColumn, Scores, type_name
from postgres_ml.lower.categories import parse_one_hot_encoder, parse_ordinal_encoder, parse_target_encoder
from postgres_ml.lower.cluster import parse_kmeans
from postgres_ml.lower.components import (
    parse_date_time_vectorizer,
    parse_frame_types,
    parse_piecewise_linear,
    parse_quantile_normal,
    parse_robust_smooth_clip,
    parse_text_statistics,
    parse_text_vectorizer,
)
from postgres_ml.lower.compose import (
    parse_column_transformer,
    parse_feature_union,
    parse_function_transformer,
    parse_pipeline_steps,
)
from postgres_ml.lower.decompose import parse_pca, parse_polynomial_features, parse_truncated_svd
from postgres_ml.lower.hist_gradient_boosting import (
    parse_hist_gradient_boosting_classifier,
    parse_hist_gradient_boosting_regressor,
)
from postgres_ml.lower.impute import parse_missing_indicator, parse_simple_imputer
from postgres_ml.lower.isolation_forest import parse_anomaly_detector, parse_isolation_forest
from postgres_ml.lower.lightgbm import (
    parse_booster_classifier,
    parse_booster_regressor,
    parse_lgbm_booster,
    parse_lgbm_classifier,
    parse_lgbm_regressor,
)
from postgres_ml.lower.linear import (
    parse_linear_classifier,
    parse_linear_regressor,
    parse_logistic_regression,
    parse_sgd_classifier,
)
from postgres_ml.lower.neural_network import parse_mlp_classifier, parse_mlp_regressor
from postgres_ml.lower.quantize import parse_k_bins_discretizer, parse_quantile_transformer
from postgres_ml.lower.scale import (
    parse_max_abs_scaler,
    parse_min_max_scaler,
    parse_normalizer,
    parse_robust_scaler,
    parse_standard_scaler,
)
from postgres_ml.lower.stacking import parse_out_of_fold_scores
from postgres_ml.lower.tree import (
    parse_gradient_boosting_classifier,
    parse_gradient_boosting_regressor,
    parse_tree_or_forest_classifier,
    parse_tree_or_forest_regressor,
)
from postgres_ml.lower.wrappers import (
    parse_frozen_estimator,
    parse_label_encoded_classifier,
    parse_log_target_regressor,
    parse_threshold_classifier,
    parse_transformed_target_regressor,
)
from postgres_ml.lower.xgboost import parse_booster, parse_xgb_classifier, parse_xgb_regressor
from postgres_ml.program.program import Input, Label, Output, Program, Value
from postgres_ml.program.validate import check_program

# Written out by hand: a registry filled by imports would change what is supported at a distance.
TRANSFORMERS: dict[str, Parser] = {
    "postgres_ml.DateTimeVectorizer": parse_date_time_vectorizer,
    "postgres_ml.FrameTypes": parse_frame_types,
    "postgres_ml.OutOfFoldScores": parse_out_of_fold_scores,
    "postgres_ml.PiecewiseLinear": parse_piecewise_linear,
    "postgres_ml.QuantileNormal": parse_quantile_normal,
    "postgres_ml.RobustSmoothClip": parse_robust_smooth_clip,
    "postgres_ml.TextStatistics": parse_text_statistics,
    "postgres_ml.TextVectorizer": parse_text_vectorizer,
    "sklearn.ColumnTransformer": parse_column_transformer,
    "sklearn.FeatureUnion": parse_feature_union,
    "sklearn.FunctionTransformer": parse_function_transformer,
    "sklearn.KBinsDiscretizer": parse_k_bins_discretizer,
    "sklearn.MaxAbsScaler": parse_max_abs_scaler,
    "sklearn.MinMaxScaler": parse_min_max_scaler,
    "sklearn.MissingIndicator": parse_missing_indicator,
    "sklearn.Normalizer": parse_normalizer,
    "sklearn.OneHotEncoder": parse_one_hot_encoder,
    "sklearn.OrdinalEncoder": parse_ordinal_encoder,
    "sklearn.PCA": parse_pca,
    "sklearn.PolynomialFeatures": parse_polynomial_features,
    "sklearn.QuantileTransformer": parse_quantile_transformer,
    "sklearn.RobustScaler": parse_robust_scaler,
    "sklearn.SimpleImputer": parse_simple_imputer,
    "sklearn.StandardScaler": parse_standard_scaler,
    "sklearn.TargetEncoder": parse_target_encoder,
    "sklearn.TruncatedSVD": parse_truncated_svd,
}
ESTIMATORS: dict[str, Parser] = {
    "lightgbm.Booster": parse_lgbm_booster,
    "lightgbm.LGBMClassifier": parse_lgbm_classifier,
    "lightgbm.LGBMRegressor": parse_lgbm_regressor,
    "postgres_ml.AdditiveClassifier": parse_additive_classifier,
    "postgres_ml.AdditiveRegressor": parse_additive_regressor,
    "postgres_ml.AnomalyDetector": parse_anomaly_detector,
    "postgres_ml.BlendedClassifier": parse_blended_classifier,
    "postgres_ml.BlendedRegressor": parse_blended_regressor,
    "postgres_ml.BoosterClassifier": parse_booster_classifier,
    "postgres_ml.BoosterRegressor": parse_booster_regressor,
    "postgres_ml.LabelEncodedClassifier": parse_label_encoded_classifier,
    "postgres_ml.LogTargetRegressor": parse_log_target_regressor,
    "postgres_ml.NetworkClassifier": parse_mlp_classifier,
    "postgres_ml.NetworkRegressor": parse_mlp_regressor,
    "sklearn.CalibratedClassifierCV": parse_calibrated_classifier,
    "sklearn.DecisionTreeClassifier": parse_tree_or_forest_classifier,
    "sklearn.DecisionTreeRegressor": parse_tree_or_forest_regressor,
    "sklearn.ElasticNet": parse_linear_regressor,
    "sklearn.ExtraTreeClassifier": parse_tree_or_forest_classifier,
    "sklearn.ExtraTreeRegressor": parse_tree_or_forest_regressor,
    "sklearn.ExtraTreesClassifier": parse_tree_or_forest_classifier,
    "sklearn.ExtraTreesRegressor": parse_tree_or_forest_regressor,
    "sklearn.FixedThresholdClassifier": parse_threshold_classifier,
    "sklearn.FrozenEstimator": parse_frozen_estimator,
    "sklearn.GradientBoostingClassifier": parse_gradient_boosting_classifier,
    "sklearn.GradientBoostingRegressor": parse_gradient_boosting_regressor,
    "sklearn.HistGradientBoostingClassifier": parse_hist_gradient_boosting_classifier,
    "sklearn.HistGradientBoostingRegressor": parse_hist_gradient_boosting_regressor,
    "sklearn.IsolationForest": parse_isolation_forest,
    "sklearn.KMeans": parse_kmeans,
    "sklearn.Lasso": parse_linear_regressor,
    "sklearn.LinearRegression": parse_linear_regressor,
    "sklearn.LinearSVC": parse_linear_classifier,
    "sklearn.LogisticRegression": parse_logistic_regression,
    "sklearn.MLPClassifier": parse_mlp_classifier,
    "sklearn.MLPRegressor": parse_mlp_regressor,
    "sklearn.MiniBatchKMeans": parse_kmeans,
    "sklearn.Pipeline": parse_pipeline_steps,
    "sklearn.RandomForestClassifier": parse_tree_or_forest_classifier,
    "sklearn.RandomForestRegressor": parse_tree_or_forest_regressor,
    "sklearn.Ridge": parse_linear_regressor,
    "sklearn.RidgeClassifier": parse_linear_classifier,
    "sklearn.SGDClassifier": parse_sgd_classifier,
    "sklearn.SGDRegressor": parse_linear_regressor,
    "sklearn.TransformedTargetRegressor": parse_transformed_target_regressor,
    "sklearn.TunedThresholdClassifierCV": parse_threshold_classifier,
    "sklearn.VotingClassifier": parse_voting_classifier,
    "sklearn.VotingRegressor": parse_voting_regressor,
    "xgboost.Booster": parse_booster,
    "xgboost.XGBClassifier": parse_xgb_classifier,
    "xgboost.XGBRFClassifier": parse_xgb_classifier,
    "xgboost.XGBRFRegressor": parse_xgb_regressor,
    "xgboost.XGBRegressor": parse_xgb_regressor,
}
PARSERS: dict[str, Parser] = TRANSFORMERS | ESTIMATORS
"""By library and class name (`type_name`), the parser of each class that can be compiled."""

INTEGER_TYPES = ("smallint", "integer", "bigint")


def parse_pipeline(pipeline: Any, inputs: tuple[Input, ...], return_type: str) -> Program:
    """Return the scoring program of a fitted pipeline.

    Parameters
    ----------
    pipeline : Pipeline, estimator or Booster, fitted
        On a frame with the inputs' names and order: numbers float64 with NaN, booleans float64 0/1 with NaN,
        text object with None, dates and timestamps datetime64.
    inputs : the columns of that frame
    return_type : SQL type of the prediction; labels are converted to it (1.0 of a boolean target to true)

    Raises
    ------
    UnsupportedModelError
        A class, attribute or option that no program expresses exactly; names it, and what to do.
    """
    builder = Builder(inputs, PARSERS)
    return _built(builder, _scores(pipeline, builder).output, return_type)


def parse_anomaly_rule(pipeline: Any, inputs: tuple[Input, ...]) -> Program | None:
    """Return the program that tells whether a row is an anomaly; None where the pipeline has no such rule.

    Raises
    ------
    UnsupportedModelError
        As `parse_pipeline`.
    """
    builder = Builder(inputs, PARSERS)
    rule = _scores(pipeline, builder).rule
    return None if rule is None else _built(builder, rule, "boolean")


def _scores(pipeline: Any, builder: Builder) -> Scores:
    columns = tuple(RawColumn(position) for position in range(len(builder.inputs)))
    scores = builder.parse(pipeline, Matrix(columns, tuple(item.name for item in builder.inputs)))
    if not isinstance(scores, Scores):
        raise UnsupportedModelError(type(pipeline).__name__, "a pipeline without an estimator", "add one")
    return scores


def _built(builder: Builder, output: Output, return_type: str) -> Program:
    program = builder.build(_typed(output, return_type), return_type)
    check_program(program)
    return program


def _typed(output: Output, return_type: str) -> Output:
    if isinstance(output, Value):
        return output
    labels: Any = tuple(_label(label, return_type) for label in _without_decimals(output.labels))
    return dataclasses.replace(output, labels=labels)


def _without_decimals(labels: Sequence[Any]) -> list[Label]:
    """Return numeric labels that no double holds as integers, or as text where some have fractions."""
    if not any(isinstance(label, Decimal) for label in labels):
        return list(labels)
    if all(label == label.to_integral_value() for label in labels):
        return [int(label) for label in labels]
    return [format(label, "f") for label in labels]


def _label(label: Label, return_type: str) -> Label:
    """Return the label as the return type has it: frames hold integer and boolean targets as doubles."""
    if return_type == "boolean" and label in (0, 1):
        return bool(label)
    if return_type in INTEGER_TYPES and not isinstance(label, str) and float(label).is_integer():
        return int(label)
    return label


__all__ = ["ESTIMATORS", "PARSERS", "TRANSFORMERS", "parse_anomaly_rule", "parse_pipeline", "type_name"]
