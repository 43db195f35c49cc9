"""A create_model node's config: checked as a whole, every problem at once, and turned into a TrainingSpec."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dbt.adapters.postgres_ml.config import dbt_keys, forecast, keys
from dbt.adapters.postgres_ml.config.external import external_problems
from dbt.adapters.postgres_ml.config.grants import privilege_problems
from dbt.adapters.postgres_ml.config.holdout import settings_of
from dbt.adapters.postgres_ml.config.names import (
    config_value,
    default_function,
    meta_config,
    place_of,
    versioned_name,
)
from dbt.adapters.postgres_ml.config.objectives import AUTO_OBJECTIVES, XGBOOST_OBJECTIVES
from dbt.adapters.postgres_ml.config.values import boolean_of, hint

from postgres_ml.contract.config import Endpoint, Settings, TrainingSpec
from postgres_ml.contract.exceptions import SpecError
from postgres_ml.contract.sql_names import IDENTIFIER_BYTES
from postgres_ml.evaluate.gates import gate_problem
from postgres_ml.fit import hyperparameters

#: what there is only with an interval
INTERVAL_METRICS = ("interval_coverage", "interval_width")
#: of a model type without a target: what it does with rows
WHAT_IT_DOES = {"kmeans": "groups", "isolation_forest": "scores"}


@dataclass
class ConfigReader:
    """Reads one node's config and collects what is wrong with it.

    Each value is read by its row of the table `keys.MODEL`; the methods are the rules between keys.

    Attributes
    ----------
    problems : one sentence each, with the value found, the values allowed and the likely key
    notices : keys that are accepted and have no effect
    warnings : sentences to say when the model is built
    given : the config's keys as they are found; None is a key left out
    values : those of them whose values are allowed, as the training takes them
    """

    node: Any
    problems: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    given: dict[str, Any] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)

    def read(self) -> TrainingSpec | None:
        """Return the specification, or None where there are problems."""
        config = self.node.config
        self._check_names()
        self._check_meta()
        found = {name: config_value(self.node, name) for name in keys.MODEL.names}
        self.given = {name: value for name, value in found.items() if value is not None}
        self.values = keys.MODEL.read_values("", self.given, self.problems)
        model_types, auto = self._model_types()
        settings = settings_of(self.values.get("settings", {}))
        if _is_unsupervised(model_types):
            self._check_no_target(model_types[0])
        else:
            self._check_target()
        self._check_kind(model_types)
        self._check_objective(model_types, auto)
        self._check_hyperparameters(model_types, auto)
        function = self._function()
        self._check_explain(model_types)
        self._check_gates(model_types)
        self._check_interval(model_types)
        self._check_weight(model_types, settings)
        self._check_split_column(settings)
        self._check_compute(model_types, auto, settings)
        self._check_sql_tolerance(model_types, auto)
        self.problems += privilege_problems(config.get("grants") or {})
        self.problems += external_problems(self.given, self.values, keys.MODEL["returns"].meaning)
        return None if self.problems else self._spec(function, model_types, auto, settings)

    def _spec(
        self, function: str, model_types: tuple[str, ...], auto: bool, settings: Settings
    ) -> TrainingSpec:
        node, endpoint = self.node, self.values.get("endpoint")
        computed = ("model_type", "problem_type", "settings", "endpoint", "function", "auto", "target")
        return TrainingSpec(
            name=versioned_name(node),
            unique_id=node.unique_id,
            database=node.database,
            schema=place_of(node)[0],
            function=function,
            target=self.values.get("target"),
            auto=auto,
            model_types=model_types,
            problem_type=self._problem_type(model_types),
            settings=settings,
            endpoint=None if endpoint is None else Endpoint(**endpoint),
            **{name: value for name, value in self.values.items() if name not in computed},
        )

    def _check_names(self) -> None:
        for name in self.node.config.extra:
            if str(name).lower() in keys.REDSHIFT_SETTINGS:
                self.notices.append(str(name).lower())
            elif name not in keys.MODEL.names and name not in dbt_keys.TOOL_KEYS:
                likely = hint(str(name), keys.MODEL.names)
                self.problems.append(
                    f"unknown config '{name}'{likely} (keys of your own belong under 'meta')"
                )
        settings = config_value(self.node, "settings")
        names = [str(name).lower() for name in settings] if isinstance(settings, dict) else []
        self.notices += [name for name in names if name in keys.REDSHIFT_SETTINGS]

    def _check_meta(self) -> None:
        """What stands under `meta: create_model` is a dict of this package's keys, none given twice."""
        config = self.node.config
        meta = config.get("meta")
        found = meta.get("create_model") if isinstance(meta, Mapping) else None
        if found is not None and not isinstance(found, Mapping):
            self.problems.append(
                f"'meta: create_model' must be a dict such as {{target: churn}}, found {found!r}"
            )
        for name, value in meta_config(self.node).items():
            direct = config.get(name) if name in keys.MODEL.names else None
            if name == "grants":
                self.problems.append("'grants' is dbt's own key: put it beside 'meta', not under it")
            elif str(name).lower() in keys.REDSHIFT_SETTINGS:
                self.notices.append(str(name).lower())
            elif name not in keys.MODEL.names:
                self.problems.append(
                    f"unknown config '{name}' under 'meta: create_model'{hint(str(name), keys.MODEL.names)}"
                )
            elif direct is not None and direct != value:
                self.problems.append(
                    f"config '{name}' is given twice, as {direct!r} "
                    f"and under 'meta: create_model' as {value!r}"
                )

    def _model_types(self) -> tuple[tuple[str, ...], bool]:
        """Return the model types, and auto: what needs no target, which auto never compares, turns it off."""
        names: tuple[str, ...] = self.values.get("model_type", ())
        auto: bool = self.values.get("auto", not _is_unsupervised(names) and names != (keys.ADDITIVE,))
        if forecast.MODEL_TYPE in names:
            if len(names) > 1:
                self.problems.append("model_type 'forecast' is never compared with others: name it alone")
            return (forecast.MODEL_TYPE,), True
        alone = [name for name in names if name in keys.UNSUPERVISED]
        if auto and alone:
            self.problems.append(f"model_type '{alone[0]}' needs 'auto: false'")
        elif not auto and "model_type" not in self.given:
            self.problems.append(
                f"'auto: false' needs a 'model_type' ({', '.join(keys.EXPLICIT_MODEL_TYPES)})"
            )
        elif not auto and "model_type" in self.values and len(names) != 1:
            self.problems.append(f"'auto: false' needs one 'model_type', found {self.given['model_type']!r}")
        return (names or keys.AUTO_MODEL_TYPES) if auto else names, auto

    def _check_kind(self, model_types: tuple[str, ...]) -> None:
        """A forecast has keys of its own, and none of many others."""
        if model_types == (forecast.MODEL_TYPE,):
            language = getattr(self.node, "language", "sql")
            self.problems += forecast.forecast_problems(self.given, self.values, language)
        else:
            self.problems += forecast.other_problems(self.given, self.values)

    def _check_explain(self, model_types: tuple[str, ...]) -> None:
        """A network's rows can't be explained exactly, and AUTO leaves networks out where they shall be."""
        if self.values.get("explain") and set(model_types) == {"mlp"}:
            self.problems.append(
                "'explain: true' needs a model whose rows can be explained exactly, which a network's can't: "
                "use model_type xgboost or linear_learner, or leave 'explain' out"
            )

    def _check_gates(self, model_types: tuple[str, ...]) -> None:
        """What can't be met is said now, as far as the config says what is predicted."""
        objective = self.values.get("objective", "")
        problem_type = self._problem_type(model_types)
        if problem_type is None and objective in AUTO_OBJECTIVES:
            problem_type = "regression" if objective == "mse" else "classification"
        if problem_type is not None:
            names = [gate.metric for gate in self.values.get("gates", ())]
            problem = gate_problem(names, problem_type, has_probabilities=objective != "binary:hinge")
            self.problems += [problem] if problem else []

    def _check_interval(self, model_types: tuple[str, ...]) -> None:
        if "interval" not in self.given:
            if any(gate.metric in INTERVAL_METRICS for gate in self.values.get("gates", ())):
                self.problems.append(
                    f"gates: {' and '.join(INTERVAL_METRICS)} need 'interval', the share of rows to cover"
                )
            return
        if _is_unsupervised(model_types):
            self.problems.append(f"{model_types[0]} takes no 'interval': it predicts no value of a target")
            return
        problem_type = str(self._problem_type(model_types) or "")
        objective = self.values.get("objective")
        is_metric = objective in AUTO_OBJECTIVES and objective != "mse"
        if problem_type.endswith("classification") or is_metric:
            self.problems.append(
                "'interval' is of a number that is predicted, and this model predicts classes: leave it out, "
                "and call predict_probabilities() for how sure the model is"
            )

    def _check_weight(self, model_types: tuple[str, ...], settings: Settings) -> None:
        weight = self.values.get("weight")
        if weight is None:
            return
        if _is_unsupervised(model_types):
            self.problems.append(
                f"{model_types[0]} takes no 'weight': what it is judged by counts every row alike; repeat "
                "rows in the query instead"
            )
        for other, key in (
            (self.values.get("target"), "target"),
            (settings.split_column, "settings: holdout"),
        ):
            if weight == other:
                self.problems.append(
                    f"weight: '{weight}' is the column of '{key}' already; use one of its own"
                )
        self.problems += [
            f"preprocessors: '{weight}' says how much a row counts, so it is not a feature"
            for item in self.values.get("preprocessors") or ()
            if weight in item.columns
        ]

    @property
    def _is_python(self) -> bool:
        """Whether the dbt model is Python, which trains by its own code."""
        return getattr(self.node, "language", "sql") == "python"

    def _check_compute(self, model_types: tuple[str, ...], auto: bool, settings: Settings) -> None:
        """Dask's workers grow xgboost's trees, and nothing else."""
        if settings.compute != "dask":
            return
        others = [key for key in ("source", "endpoint", "preprocessors") if key in self.given]
        if self._is_python:
            others.append("a model in Python")
        if model_types == (forecast.MODEL_TYPE,) or (not auto and model_types != ("xgboost",)):
            others.append(f"model_type '{', '.join(model_types)}'")
        self.problems += [
            "settings: 'compute: dask' trains xgboost on the query's rows, with 'auto: false' and "
            f"'model_type: xgboost' or by the search, and not {other}: use 'compute: local'"
            for other in others
        ]

    def _check_sql_tolerance(self, model_types: tuple[str, ...], auto: bool) -> None:
        """It is a rule of the search, for functions in SQL."""
        if "sql_tolerance" not in self.values.get("settings", {}) or model_types == (forecast.MODEL_TYPE,):
            return
        runtime = self.values.get("runtime", "auto")
        if runtime not in ("auto", "sql"):
            self.problems.append(
                "settings: 'sql_tolerance' is of models that SQL computes, and "
                f"'runtime: {runtime}' publishes none: leave it out, or use 'runtime: sql'"
            )
        if not auto or self._is_python or "source" in self.given or "endpoint" in self.given:
            self.problems.append(
                "settings: 'sql_tolerance' says what the search may give up, and this model is not searched "
                "for: leave it out, or use 'auto: true'"
            )

    def _check_no_target(self, model_type: str) -> None:
        if "target" in self.values:
            self.problems.append(
                f"{model_type} takes no 'target' (found '{self.values['target']}'): it "
                f"{WHAT_IT_DOES[model_type]} rows without one; leave that column out of the query too"
            )
        self.problems += [
            f"{model_type} takes no '{key}'" for key in ("problem_type", "objective") if key in self.given
        ]
        has_rule = any(name.lower() == "contamination" for name in self.values.get("hyperparameters", {}))
        if not has_rule and any(gate.metric == "anomaly_share" for gate in self.values.get("gates", ())):
            self.problems.append(
                "gates: 'anomaly_share' needs the hyperparameter 'contamination': without it no row is "
                "called an anomaly; use score_p99, score_max and their like"
            )

    def _check_target(self) -> None:
        is_made_elsewhere = "source" in self.given or "endpoint" in self.given
        if "target" not in self.given and not is_made_elsewhere and not self._is_python:
            self.problems.append(f"config 'target' is required: {keys.MODEL['target'].meaning}")

    def _problem_type(self, model_types: tuple[str, ...]) -> Any:
        """Return the problem type, given or by the objective; None infers it from the target."""
        if _is_unsupervised(model_types):
            return keys.UNSUPERVISED[model_types[0]]
        if model_types == (forecast.MODEL_TYPE,):
            return "forecasting"
        of_objective = XGBOOST_OBJECTIVES.get(self.values.get("objective", ""))
        return self.values.get("problem_type") or (of_objective and of_objective.problem_type)

    def _check_objective(self, model_types: tuple[str, ...], auto: bool) -> None:
        name, problem_type = self.values.get("objective"), self.values.get("problem_type")
        if name is None or name in forecast.OBJECTIVES or model_types == (forecast.MODEL_TYPE,):
            return  # what a forecast is judged by is checked with its other keys
        found, of_xgboost = self.given["objective"], XGBOOST_OBJECTIVES.get(name)
        if of_xgboost and (auto or model_types != ("xgboost",)):
            self.problems.append(
                f"objective '{found}' needs 'auto: false' and 'model_type: xgboost'; "
                f"without them the objectives are {', '.join(AUTO_OBJECTIVES)}"
            )
        elif problem_type is not None:
            of_metric = "regression" if name == "mse" else "classification"
            fits = of_xgboost.problem_type if of_xgboost else of_metric
            if fits not in problem_type or (name == "f1" and problem_type != "binary_classification"):
                self.problems.append(f"objective '{found}' does not fit problem_type '{problem_type}'")

    def _check_hyperparameters(self, model_types: tuple[str, ...], auto: bool) -> None:
        chosen = self.values.get("hyperparameters", {})
        if chosen and auto and model_types != (forecast.MODEL_TYPE,):
            self.problems.append(
                "'hyperparameters' need 'auto: false'; with 'auto: true' the search chooses them"
            )
        self._check_quantile(chosen)
        if not auto and len(model_types) == 1:
            try:
                self.warnings += hyperparameters.check(model_types[0], chosen).warnings
            except SpecError as error:
                self.problems.append(str(error))

    def _check_quantile(self, chosen: dict[str, Any]) -> None:
        is_given = any(name.lower() == "quantile_alpha" for name in chosen)
        predicts_it = self.values.get("objective") == "reg:quantileerror"
        if predicts_it and not is_given:
            self.problems.append(
                "objective 'reg:quantileerror' needs the hyperparameter 'quantile_alpha', the quantile to "
                "predict: 0.9 for a value that nine of ten rows stay below"
            )
        elif is_given and not predicts_it:
            self.problems.append("hyperparameter 'quantile_alpha' needs objective 'reg:quantileerror'")
        if not predicts_it and any(gate.metric == "pinball" for gate in self.values.get("gates", ())):
            self.problems.append("gates: 'pinball' is the metric of objective 'reg:quantileerror' alone")

    def _function(self) -> str:
        node = self.node
        name: str = self.values.get("function", default_function(node))
        if len(name.encode()) + len("_probabilities") > IDENTIFIER_BYTES:
            self.problems.append(
                f"function '{name}' is too long: with '_probabilities' appended it exceeds Postgres's limit "
                f"of {IDENTIFIER_BYTES} bytes; set 'function' to a shorter name"
            )
        if name == place_of(node)[1]:
            self.problems.append(
                f"function '{name}' has the same name as the model's card view; choose another, or leave "
                f"'function' out to get '{default_function(node)}'"
            )
        for what, text in (("function", name), ("schema", node.schema), ("alias", node.alias)):
            # dbt writes '"' ~ name ~ '"', and looks for relations with `ilike '<schema>'`
            if text and ('"' in text or not text.isprintable() or (what == "schema" and "'" in text)):
                self.problems.append(
                    f"{what} {text!r} contains a quote or a control character, which dbt writes into SQL "
                    "unescaped; choose another name"
                )
        return name

    def _check_split_column(self, settings: Settings) -> None:
        split = settings.split_column
        if split is None:
            return
        if split == self.values.get("target"):
            self.problems.append(
                f"settings: holdout: '{split}' is the target; use a column of its own for the split"
            )
        self.problems += [
            f"preprocessors: '{split}' says which rows are held out, so it is not a feature"
            for item in self.values.get("preprocessors", ())
            if split in item.columns
        ]


def _is_unsupervised(model_types: tuple[str, ...]) -> bool:
    return len(model_types) == 1 and model_types[0] in keys.UNSUPERVISED


def reindexes(node: Any) -> bool:
    """Return whether a new version of a node's functions reindexes the indexes that call them."""
    given = config_value(node, "reindex")
    return TrainingSpec.reindex if given is None else boolean_of(given) is not False
