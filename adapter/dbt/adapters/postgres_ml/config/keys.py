"""The vocabulary of a create_model config: keys, values, and what this version supports of them.

The tables follow SPEC section 2, which follows Amazon Redshift ML's CREATE MODEL clause by clause.
Everything the vocabulary knows and this version can't do is refused by name, never skipped.
"""

from __future__ import annotations

MODEL_TYPES = ("xgboost", "linear_learner", "mlp", "kmeans")
#: what auto compares; without auto all of MODEL_TYPES can be named
AUTO_MODEL_TYPES = ("xgboost", "linear_learner", "mlp")
PROBLEM_TYPES = ("regression", "binary_classification", "multiclass_classification")
RUNTIMES = ("auto", "sql", "native", "python")
SUPPORTED_RUNTIMES = ("auto", "native", "sql", "python")
PROMOTE = ("always", "if_better")

CLASSIFICATION_OBJECTIVES = ("accuracy", "f1", "f1_macro", "auc")
AUTO_OBJECTIVES = ("mse", *CLASSIFICATION_OBJECTIVES)
OBJECTIVE_SPELLINGS = {"f1macro": "f1_macro"}
#: xgboost's, and the problem type that each makes: Redshift's first, then others that a function can express
XGBOOST_OBJECTIVES = {
    "reg:squarederror": "regression",
    "reg:squaredlogerror": "regression",
    "reg:logistic": "regression",
    "reg:pseudohubererror": "regression",
    "reg:tweedie": "regression",
    "reg:absoluteerror": "regression",
    "reg:gamma": "regression",
    "count:poisson": "regression",
    "binary:logistic": "binary_classification",
    "binary:hinge": "binary_classification",
    "multi:softmax": "multiclass_classification",
    "multi:softprob": "multiclass_classification",
}

#: keys of the config that this version reads
SUPPORTED_KEYS = (
    "target",
    "function",
    "auto",
    "model_type",
    "problem_type",
    "objective",
    "preprocessors",
    "hyperparameters",
    "settings",
    "runtime",
    "explain",
    "gates",
    "promote",
    "retrain",
    "source",
    "trust",
    "endpoint",
    "arguments",
    "returns",
)
#: keys that the specification knows and this version refuses
PLANNED_KEYS: tuple[str, ...] = ()

SETTINGS = (
    "max_cells",
    "max_runtime",
    "max_trials",
    "seed",
    "holdout",
    "min_rows",
    "refit",
    "keep_versions",
    "compute",
)
COMPUTE = ("local", "dask")
SUPPORTED_COMPUTE = ("local",)
#: Redshift's own; accepted, because configs are carried over, and named in one line when the model is built
REDSHIFT_SETTINGS = ("s3_bucket", "kms_key_id", "s3_garbage_collect", "tags", "iam_role")
