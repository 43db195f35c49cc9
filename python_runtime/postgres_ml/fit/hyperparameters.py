"""Which hyperparameters a config may name, their limits, and their values as Python numbers.

Stdlib only: the adapter checks configs with it while dbt parses.

Sources: Amazon Redshift ML's HYPERPARAMETERS clause, Amazon SageMaker's K-Means and Random Cut Forest for the
names and for `redshift`; xgboost's and scikit-learn's own checks of parameters for `low` and `high`.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from postgres_ml.contract.exceptions import SpecError

Kind = Literal[
    "int", "float", "bool", "text", "layers", "auto_int", "auto_float", "share", "auto_share", "columns"
]
#: of xgboost: what names columns; by the query's names, and translated to the encoded columns
BY_COLUMN = ("monotone_constraints", "interaction_constraints", "feature_weights")


@dataclass(frozen=True)
class Hyperparameter:
    """What a key stands for.

    Parameters
    ----------
    library_name : in scikit-learn's interface; '' is accepted and means nothing here
    kind : of the value; 'layers' is whole numbers such as '64,32', 'share' a whole number (a count) or a
        fraction of all up to 1.0, 'columns' a dict by the query's column names, or a list; the kinds that
        begin with 'auto_' are also 'auto'
    low, high : what the library takes; `above` where `low` itself is excluded
    one_of : texts allowed
    redshift : the range that Amazon Redshift documents where it is narrower
    """

    library_name: str
    kind: Kind
    low: float = -math.inf
    high: float = math.inf
    above: bool = False
    one_of: tuple[str, ...] = ()
    redshift: tuple[float, float] | None = None

    @property
    def limits(self) -> str:
        """The limits in words."""
        low = f"above {self.low:g}" if self.above else f"at least {self.low:g}"
        if math.isinf(self.high):
            return low
        return f"{low} and at most {self.high:g}" if self.above else f"from {self.low:g} to {self.high:g}"


@dataclass(frozen=True)
class Checked:
    """A model's hyperparameters.

    Parameters
    ----------
    values : by the library's names, as Python values
    warnings : what is passed through unknown, has no effect, or is outside of Redshift's range
    """

    values: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


H = Hyperparameter
_TREES = H("n_estimators", "int", 1)
_ETA = H("learning_rate", "float", 0, 1, redshift=(0.1, 0.5))
_GAMMA = H("gamma", "float", 0, redshift=(0, 5))
_LAMBDA = H("reg_lambda", "float", 0, redshift=(0, 1000))
_ALPHA = H("reg_alpha", "float", 0, redshift=(0, 1000))
_BY_LEVEL = H("colsample_bylevel", "float", 0, 1, above=True, redshift=(0.1, 1))
XGBOOST: dict[str, Hyperparameter] = {
    "num_round": _TREES,
    "num_boost_round": _TREES,
    "n_estimators": _TREES,
    "num_class": H("num_class", "int", 2),
    "eta": _ETA,
    "learning_rate": _ETA,
    "max_depth": H("max_depth", "int", 0, redshift=(0, 10)),
    "max_leaves": H("max_leaves", "int", 0),
    "max_bin": H("max_bin", "int", 2),
    "max_cat_to_onehot": H("max_cat_to_onehot", "int", 1),
    "max_cat_threshold": H("max_cat_threshold", "int", 1),
    "grow_policy": H("grow_policy", "text", one_of=("depthwise", "lossguide")),
    "gamma": _GAMMA,
    "min_split_loss": _GAMMA,
    "min_child_weight": H("min_child_weight", "float", 0, redshift=(0, 120)),
    "max_delta_step": H("max_delta_step", "float", 0, redshift=(0, 10)),
    "subsample": H("subsample", "float", 0, 1, above=True, redshift=(0.5, 1)),
    "sampling_method": H("sampling_method", "text", one_of=("uniform",)),
    "colsample_bytree": H("colsample_bytree", "float", 0, 1, above=True, redshift=(0.5, 1)),
    "colsample_bylevel": _BY_LEVEL,
    "colsample_byleve": _BY_LEVEL,  # as Redshift's documentation spells it
    "colsample_bynode": H("colsample_bynode", "float", 0, 1, above=True, redshift=(0.1, 1)),
    "lambda": _LAMBDA,
    "reg_lambda": _LAMBDA,
    "alpha": _ALPHA,
    "reg_alpha": _ALPHA,
    "tree_method": H("tree_method", "text", one_of=("auto", "exact", "approx", "hist")),
    "scale_pos_weight": H("scale_pos_weight", "float", 0, above=True),
    "num_parallel_tree": H("num_parallel_tree", "int", 1),
    "base_score": H("base_score", "float"),
    "booster": H("booster", "text", one_of=("gbtree", "dart")),
    "sample_type": H("sample_type", "text", one_of=("uniform", "weighted")),
    "normalize_type": H("normalize_type", "text", one_of=("tree", "forest")),
    "rate_drop": H("rate_drop", "float", 0, 1),
    "one_drop": H("one_drop", "int", 0, 1),
    "skip_drop": H("skip_drop", "float", 0, 1),
    "tweedie_variance_power": H("tweedie_variance_power", "float", 1, 2),
    "quantile_alpha": H("quantile_alpha", "float", 0, 1, above=True),
    "huber_slope": H("huber_slope", "float", 0, above=True),
    "eval_metric": H("eval_metric", "text"),
    "seed": H("random_state", "int", 0),
    **{name: H(name, "columns") for name in BY_COLUMN},
}
# Ridge for a regression, LogisticRegression for classes
LINEAR: dict[str, Hyperparameter] = {
    "alpha": H("alpha", "float", 0),
    "c": H("C", "float", 0, above=True),
    "l1_ratio": H("l1_ratio", "float", 0, 1),
    "fit_intercept": H("fit_intercept", "bool"),
    "max_iter": H("max_iter", "int", 1),
    "tol": H("tol", "float", 0),
    "solver": H("solver", "text"),
    "class_weight": H("class_weight", "text", one_of=("balanced",)),
}
# MLPRegressor and MLPClassifier
MLP: dict[str, Hyperparameter] = {
    "hidden_layer_sizes": H("hidden_layer_sizes", "layers", 1),
    "activation": H("activation", "text", one_of=("identity", "logistic", "tanh", "relu")),
    "solver": H("solver", "text", one_of=("adam", "sgd", "lbfgs")),
    "alpha": H("alpha", "float", 0),
    "batch_size": H("batch_size", "auto_int", 1),
    "learning_rate": H("learning_rate", "text", one_of=("constant", "invscaling", "adaptive")),
    "learning_rate_init": H("learning_rate_init", "float", 0, above=True),
    "max_iter": H("max_iter", "int", 1),
    "epochs": H("max_iter", "int", 1),
    "tol": H("tol", "float", 0),
    "momentum": H("momentum", "float", 0, 1),
    "early_stopping": H("early_stopping", "bool"),
    "validation_fraction": H("validation_fraction", "float", 0, 0.9, above=True),
    "n_iter_no_change": H("n_iter_no_change", "int", 1),
}
_INIT = H("init", "text", one_of=("k-means++", "random"))
SAGEMAKER_ONLY = (
    "mini_batch_size", "epochs", "extra_center_factor", "half_life_time_size", "eval_metrics", "force_dense",
    "feature_dim",
)  # fmt: skip
# KMeans; SageMaker's names first
KMEANS: dict[str, Hyperparameter] = {
    "k": H("n_clusters", "int", 2),
    "n_clusters": H("n_clusters", "int", 2),
    "init_method": _INIT,
    "local_lloyd_init_method": _INIT,
    "init": _INIT,
    "local_lloyd_max_iter": H("max_iter", "int", 1),
    "max_iter": H("max_iter", "int", 1),
    "local_lloyd_tol": H("tol", "float", 0),
    "tol": H("tol", "float", 0),
    "local_lloyd_num_trials": H("n_init", "auto_int", 1),
    "n_init": H("n_init", "auto_int", 1),
    "algorithm": H("algorithm", "text", one_of=("lloyd", "elkan")),
    **dict.fromkeys(SAGEMAKER_ONLY, H("", "text")),
}
_TREES = H("n_estimators", "int", 1)
_TREE_ROWS = H("max_samples", "auto_share", 2)
# IsolationForest; the names that SageMaker's Random Cut Forest has for the same come second
ISOLATION_FOREST: dict[str, Hyperparameter] = {
    "n_estimators": _TREES,
    "num_trees": _TREES,
    "max_samples": _TREE_ROWS,
    "num_samples_per_tree": _TREE_ROWS,
    "contamination": H("contamination", "auto_float", 0, 0.5, above=True),
    "max_features": H("max_features", "share", 1),
    "bootstrap": H("bootstrap", "bool"),
    **dict.fromkeys(("feature_dim", "eval_metrics"), H("", "text")),
}
_LEARNING_RATE = H("learning_rate", "float", 0, 1, above=True)
_ADDITIVE_LAMBDA = H("reg_lambda", "float", 0)
_ROUNDS = H("max_rounds", "int", 1)
# our additive models, by interpret's names; xgboost's where trees have them
ADDITIVE: dict[str, Hyperparameter] = {
    "interactions": H("interactions", "int", 0),
    "max_bins": H("max_bins", "int", 2, 1024),
    "max_interaction_bins": H("max_interaction_bins", "int", 2, 256),
    "learning_rate": _LEARNING_RATE,
    "eta": _LEARNING_RATE,
    "max_rounds": _ROUNDS,
    "num_round": _ROUNDS,
    "max_leaves": H("max_leaves", "int", 2),
    "outer_bags": H("outer_bags", "int", 1, 100),
    "min_child_weight": H("min_child_weight", "float", 0),
    "reg_lambda": _ADDITIVE_LAMBDA,
    "lambda": _ADDITIVE_LAMBDA,
    "monotone_constraints": H("monotone_constraints", "columns"),
}
KNOWN = {
    "xgboost": XGBOOST,
    "linear_learner": LINEAR,
    "mlp": MLP,
    "additive": ADDITIVE,
    "kmeans": KMEANS,
    "isolation_forest": ISOLATION_FOREST,
}
SPELLINGS = {"kmeans++": "k-means++", "k-means-parallel": "k-means++"}
# of xgboost's interface, what would change the training behind its back
REFUSED = {
    "objective": "use the config key of that name",
    "callbacks": "callbacks can't be written in a config",
    "missing": "NULL is what is missing",
    "enable_categorical": "text is encoded before",
    "feature_types": "they follow from the query's columns",
    "feature_names": "they are the query's columns",
    "early_stopping_rounds": "use auto: true, which finds the number of trees by early stopping",
    "verbosity": "what xgboost warns of is shown",
    "nthread": "dbt's threads share the cores, so it is set for you",
    "n_jobs": "dbt's threads share the cores, so it is set for you",
}


_CLAUSE = re.compile(r"\s*default(\s+except\s*\((?P<pairs>.*)\))?\s*", re.IGNORECASE | re.DOTALL)
_PAIR = re.compile(r"\s*(\w+)\s*'([^']*)'\s*(?:,|$)")


def read_clause(text: str) -> dict[str, str] | str:
    """Return the keys and values of Redshift's `DEFAULT EXCEPT (eta '0.2', …)`; the text if it is none.

    `DEFAULT` alone is no exception: an empty dict.
    """
    found = _CLAUSE.fullmatch(text)
    if found is None:
        return text
    pairs = (found["pairs"] or "").strip()
    read = dict(_PAIR.findall(pairs))
    return text if _PAIR.sub("", pairs).strip() else read


def given_names(model_type: str, hyperparameters: Mapping[str, Any]) -> dict[str, str]:
    """Return a config's names of hyperparameters by the library's: `num_round` for `n_estimators`."""
    known = {str(key): _lookup(model_type, str(key), [], []) for key in hyperparameters}
    return {found.library_name: key for key, found in known.items() if found is not None}


def check(model_type: str, hyperparameters: Mapping[str, Any]) -> Checked:
    """Return the hyperparameters under the library's names, strings made numbers, and warnings.

    Raises
    ------
    SpecError
        Misspelled names, wrong types, values out of range, one thing given twice; all in one message.
    """
    problems: list[str] = []
    warnings: list[str] = []
    values: dict[str, Any] = {}
    for key, value in hyperparameters.items():
        known = _lookup(model_type, str(key), problems, warnings)
        if known is None:
            continue
        if not known.library_name:
            warnings.append(f"hyperparameter {key!r} belongs to Amazon SageMaker and has no effect here")
            continue
        if known.library_name in values:
            problems.append(f"hyperparameter {key!r} is given twice, under two names")
        try:
            number = values[known.library_name] = _convert(known, value)
        except ValueError as error:
            problems.append(f"hyperparameter {key!r} must be {error}, got {value!r}")
            continue
        if known.redshift and not known.redshift[0] <= number <= known.redshift[1]:
            low, high = known.redshift
            warnings.append(
                f"hyperparameter {key!r} is {number:g}; Amazon Redshift takes {low:g} to {high:g} only"
            )
    if model_type == "kmeans" and "n_clusters" not in values and not problems:
        problems.append("kmeans needs the hyperparameter 'k', the number of clusters")
    if problems:
        raise SpecError("; ".join(problems))
    return Checked(values, tuple(warnings))


def _lookup(model_type: str, key: str, problems: list[str], warnings: list[str]) -> Hyperparameter | None:
    """Return what the key stands for; of xgboost, a key that resembles none known is taken as it is."""
    name, known = key.lower(), KNOWN[model_type]
    if name in known:
        return known[name]
    if model_type == "xgboost" and name in REFUSED:
        problems.append(f"hyperparameter {key!r} can't be set: {REFUSED[name]}")
        return None
    near = difflib.get_close_matches(name, known, 1, 0.75 if model_type == "xgboost" else 0.6)
    if near:
        problems.append(f"unknown hyperparameter {key!r} of {model_type}, did you mean {near[0]!r}?")
    elif model_type == "xgboost" and name.isidentifier():
        warnings.append(f"hyperparameter {key!r} is not known here and goes to xgboost as it is")
        return Hyperparameter(name, "text")
    else:
        problems.append(f"unknown hyperparameter {key!r} of {model_type}; known are {', '.join(known)}")
    return None


def _convert(known: Hyperparameter, value: Any) -> Any:
    """Return the value as the library takes it; ValueError says what it must be."""
    if known.kind == "bool":
        words = {"true": True, "false": False}
        if str(value).lower() not in words:
            raise ValueError("true or false")
        return words[str(value).lower()]
    if known.kind == "columns":
        if not isinstance(value, Mapping | list | tuple | str):
            raise ValueError("a dict of column names, or a list")
        return value
    if known.kind == "text":
        text = SPELLINGS.get(str(value).lower(), str(value))
        if known.one_of and text not in known.one_of:
            raise ValueError("one of " + ", ".join(known.one_of))
        return text
    if known.kind == "layers":
        listed = value if isinstance(value, list | tuple) else str(value).strip("[]() ").strip(",").split(",")
        return tuple(_number(known, item, "whole numbers such as '64,32'") for item in listed)
    if known.kind.startswith("auto_") and str(value).lower() == "auto":
        return "auto"
    or_auto = " or 'auto'" if known.kind.startswith("auto_") else ""
    if known.kind.endswith("share"):
        return _share(known, value, or_auto)
    wanted = "a whole number" if known.kind.endswith("int") else "a number"
    return _number(known, value, wanted + or_auto)


def _share(known: Hyperparameter, value: Any, or_auto: str) -> float | int:
    """Return a count as int or a fraction as float: 1 is one, 1.0 is all, as scikit-learn has it."""
    wanted = f"a whole number of {known.limits}, or a fraction above 0 and at most 1.0{or_auto}"
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ValueError(wanted) from None
    is_count = number.is_integer() and (number > 1 or isinstance(value, int) or str(value).strip() == "1")
    if isinstance(value, bool) or not (number >= known.low if is_count else 0 < number <= 1):
        raise ValueError(wanted)
    return int(number) if is_count else number


def _number(known: Hyperparameter, value: Any, wanted: str) -> float | int:
    if isinstance(value, bool):
        raise ValueError(wanted)
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ValueError(wanted) from None
    if math.isinf(number):
        raise ValueError("finite")  # the catalog's jsonb has no infinity
    if math.isnan(number) or (not known.kind.endswith("float") and not number.is_integer()):
        raise ValueError(wanted)
    if not known.low <= number <= known.high or (known.above and number == known.low):
        raise ValueError(known.limits)
    return number if known.kind.endswith("float") else int(number)
