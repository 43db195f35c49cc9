"""A forecast's keys: the percentiles, and the rules of a forecast beside the other keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dbt.adapters.postgres_ml.config.kinds import Choice, Kind, Schema
from dbt.adapters.postgres_ml.config.values import number_of, wrong_type
from typing_extensions import override

from postgres_ml.contract.forecast import (
    DEFAULT_PERCENTILES,
    FREQUENCIES,
    HORIZON,
    MAX_PERCENTILES,
    MEAN,
    column_name,
    ordered,
)

MODEL_TYPE = "forecast"
#: metrics that candidates are compared by; Redshift's
OBJECTIVES = ("mase", "wape", "mape", "rmse", "average_weighted_quantile_loss")
SPELLINGS = (("averageweightedquantileloss", "average_weighted_quantile_loss"),)
#: what a forecast has none of, with the reason
USELESS = {
    "problem_type": "a forecast is a problem of its own",
    "preprocessors": "its models read the series as it is",
    "hyperparameters": "the backtest chooses its models",
    "explain": "there are no features to explain it by",
    "interval": "its percentiles say how sure it is",
    "weight": "each step of a series counts once",
    "source": "it is made of the query's rows",
    "endpoint": "it is made of the query's rows",
    "trust": "it is made of the query's rows",
    "arguments": "its function has the argument horizon",
    "returns": "its function returns a table",
}
USELESS_SETTINGS = {
    "holdout": "the last steps of each series, as many as the horizon, are its hold-out",
    "refit": "it is always fitted again on all rows",
    "max_trials": "there are ten candidates at most",
    "sql_tolerance": "its values are in the function, whatever forecast them",
    "min_rows": "three rows are a series, and the horizon says how many one needs",
}
ONLY_SETTINGS = ("horizon", "frequency", "percentiles")
PERCENTILES_FORM = "a text such as '0.1,0.5,0.9,mean', or a list"


class Percentiles(Kind):
    """Redshift's list of 'mean' and numbers from 0.01 to 0.99: read as texts, the mean first."""

    @override
    def read(self, where: str, found: Any, problems: list[str]) -> tuple[str, ...] | None:
        items = found.split(",") if isinstance(found, str) else found
        if isinstance(items, int | float) and not isinstance(items, bool):
            items = [items]
        if not isinstance(items, list | tuple) or not items:
            problems.append(wrong_type(where, found, PERCENTILES_FORM))
            return None
        texts = [str(item).strip().lower() for item in items]
        wrong = [text for text in texts if text != MEAN and not _is_percentile(text)]
        if wrong:
            problems.append(
                f"{where} must be 'mean' or from 0.01 to 0.99 in steps of 0.01, found "
                f"{', '.join(map(repr, wrong))}"
            )
            return None
        read = ordered(text if text == MEAN else f"{round(float(text), 2):g}" for text in texts)
        if len(read) - (MEAN in read) > MAX_PERCENTILES:
            problems.append(
                f"{where} may be {MAX_PERCENTILES} besides the mean, found {len(read) - (MEAN in read)}: "
                f"{found!r}"
            )
            return None
        return read

    @property
    @override
    def words(self) -> str:
        return "`'0.1,0.5,0.9,mean'`: up to five from 0.01 to 0.99, and `mean`"

    @override
    def schema(self) -> Schema:
        one: Schema = {"anyOf": [{"type": "number", "minimum": 0.01, "maximum": 0.99}, {"type": "string"}]}
        return {
            "anyOf": [{"type": "string", "pattern": r"\S"}, {"type": "array", "items": one, "minItems": 1}]
        }


def _is_percentile(text: str) -> bool:
    value = number_of(text)
    return value is not None and 0.01 <= value <= 0.99 and abs(100 * value - round(100 * value)) < 1e-9


class Frequency(Choice):
    """Redshift's frequencies, in any case."""

    def __init__(self) -> None:
        super().__init__(tuple(name.lower() for name in FREQUENCIES))

    @override
    def read(self, where: str, found: Any, problems: list[str]) -> str | None:
        name = super().read(where, str(found), problems)
        return None if name is None else {known.lower(): known for known in FREQUENCIES}[name]

    @property
    @override
    def words(self) -> str:
        return ", ".join(f"`{name}`" for name in FREQUENCIES)


def is_forecast(node: Any) -> bool:
    """Return whether a node's config asks for a forecast."""
    found = node.config.get("model_type")
    items = found if isinstance(found, list | tuple) else [found]
    return [str(item).lower() for item in items] == [MODEL_TYPE]


def forecast_problems(given: Mapping[str, Any], values: Mapping[str, Any], language: str) -> list[str]:
    """Return what is wrong with a forecast's keys beside one another, one sentence each.

    Parameters
    ----------
    given : the config's keys as they were found
    values : those of them that are allowed, as they were read
    language : of the dbt model
    """
    problems = [
        f"a forecast takes no '{key}': {why}"
        for key, why in USELESS.items()
        if key in given and values.get(key) not in ((), {})  # Redshift's 'none' and DEFAULT say nothing
    ]
    settings, read = _lower(given.get("settings")), values.get("settings", {})
    problems += [
        f"settings: a forecast takes no '{key}': {why}"
        for key, why in USELESS_SETTINGS.items()
        if key in settings
    ]
    if language == "python":
        problems.append("a forecast's query is SQL: a dbt model in Python fits an estimator of its own")
    if "horizon" not in settings:
        problems.append("a forecast needs settings: {horizon: …}, the number of steps that it tells")
    if values.get("auto") is False:
        problems.append("a forecast chooses its models itself: leave 'auto: false' out")
    if values.get("runtime", "auto") not in ("auto", "sql"):
        problems.append("a forecast's values are in a SQL function: leave 'runtime' out")
    if values.get("promote") == "if_better":
        problems.append(
            "a forecast takes no 'promote: if_better': its hold-out are the newest rows, which the serving "
            "version "
            "may have seen; use 'gates' such as {mase: '<= 1'}"
        )
    objective = values.get("objective")
    if objective is not None and objective not in OBJECTIVES:
        problems.append(
            f"objective '{objective}' is for other models; a forecast's are {', '.join(OBJECTIVES)}"
        )
    named = [values.get("target"), values.get("time"), *values.get("series", ())]
    problems += [
        f"'{name}' has two roles among 'target', 'time' and 'series'"
        for name in dict.fromkeys(named)
        if name is not None and named.count(name) > 1
    ]
    percentiles = read.get("percentiles", DEFAULT_PERCENTILES)
    n_levels = len(percentiles) - (MEAN in percentiles)
    if n_levels < 2 and any(gate.metric == "coverage" for gate in values.get("gates", ())):
        problems.append(
            "gates: 'coverage' is of the rows between the least and the greatest percentile: give two or "
            f"more in settings: percentiles, found {', '.join(percentiles)}"
        )
    reserved = {HORIZON.name, *map(column_name, percentiles)}
    problems += [
        f"column '{name}' has the name of the function's argument or of a column of the forecast: select "
        "it under "
        "another one"
        for name in named[1:]
        if name in reserved
    ]
    return problems


def other_problems(given: Mapping[str, Any], values: Mapping[str, Any]) -> list[str]:
    """Return which keys of a forecast another model has."""
    settings = _lower(given.get("settings"))
    found = [key for key in ("time", "series") if key in given]
    found += [f"settings: {key}" for key in ONLY_SETTINGS if key in settings]
    problems = [f"'{', '.join(found)}' is for 'model_type: forecast' only"] if found else []
    objective = values.get("objective")
    if objective in OBJECTIVES:
        problems.append(f"objective '{objective}' is for 'model_type: forecast' only")
    return problems


def _lower(settings: Any) -> dict[str, Any]:
    return {str(k).lower(): v for k, v in settings.items()} if isinstance(settings, Mapping) else {}
