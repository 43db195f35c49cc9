"""xgboost's hyperparameters that name columns: from the query's columns to those that the model is fitted on.

Input: values as a config has them, the fitted preprocessing. Output: values by position among the encoded
columns, or an error. Text becomes several columns and columns change their order, so positions of the one are
not positions of the other.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    RobustScaler,
    StandardScaler,
)

from postgres_ml.components.text import TextVectorizer
from postgres_ml.components.text_statistics import TextStatistics
from postgres_ml.components.transformers import DateTimeVectorizer
from postgres_ml.contract.exceptions import SpecError
from postgres_ml.fit.hyperparameters import BY_COLUMN
from postgres_ml.program.characters import CLASSES

INCREASING = (StandardScaler, MinMaxScaler, MaxAbsScaler, RobustScaler)


@dataclass(frozen=True)
class Encoded:
    """A column that the model is fitted on.

    Parameters
    ----------
    name : of the query's column that it is made of; '' where it is made of several
    increasing : whether it grows where the query's column grows
    """

    name: str
    increasing: bool


def translated(parameters: Mapping[str, Any], names: Sequence[str], transformer: Any) -> dict[str, Any]:
    """Return the parameters with those that name columns by position among the encoded columns.

    Parameters
    ----------
    names : the query's feature columns, in its order
    transformer : the preprocessing, fitted

    Raises
    ------
    SpecError
        A name that is no feature column, a list of another length, or a column that is encoded so that the
        constraint can't be kept.
    """
    encoded = trace(transformer, [Encoded(name, True) for name in names])
    result = dict(parameters)
    for key in BY_COLUMN:
        if key in parameters:
            result[key] = _TRANSLATORS[key](key, _read(key, parameters[key]), list(names), encoded)
    return result


def _read(key: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError):
        raise SpecError(f"hyperparameter {key!r} is neither a dict nor a list: {value!r}") from None


def _by_name(key: str, value: Any, names: Sequence[str]) -> dict[str, float]:
    """Return numbers by column name: of a dict, or of a list that has one for each of the query's columns."""
    if isinstance(value, list | tuple):
        if len(value) != len(names):
            raise SpecError(
                f"hyperparameter {key!r} has {len(value)} numbers, and the query has {len(names)} feature "
                f"columns ({', '.join(names)}): give one for each, in this order, or names: "
                f"{{'{names[0]}': 1}}"
            )
        value = dict(zip(names, value, strict=True))
    if not isinstance(value, Mapping):
        raise SpecError(f"hyperparameter {key!r} must be a dict such as {{'{names[0]}': 1}}, got {value!r}")
    _check_names(key, list(value), names)
    try:
        return {str(name): float(number) for name, number in value.items()}
    except (TypeError, ValueError):
        raise SpecError(f"hyperparameter {key!r} must have numbers as values, got {value!r}") from None


def _check_names(key: str, given: Sequence[Any], names: Sequence[str]) -> None:
    unknown = [str(name) for name in given if name not in names]
    if unknown:
        raise SpecError(
            f"hyperparameter {key!r} names {', '.join(unknown)}, which is no feature column of the query; "
            f"these are {', '.join(names)}"
        )


def _monotone(key: str, value: Any, names: Sequence[str], encoded: Sequence[Encoded]) -> str:
    signs = {name: sign for name, sign in _by_name(key, value, names).items() if sign}
    wrong = [name for name, sign in signs.items() if sign not in (-1, 1)]
    if wrong:
        raise SpecError(f"hyperparameter {key!r} must be -1, 0 or 1 for {', '.join(wrong)}")
    for name in signs:
        made = [column for column in encoded if column.name == name]
        if any(not column.increasing for column in made) or _is_mixed(name, made, encoded):
            raise SpecError(
                f'hyperparameter {key!r} can\'t be kept for column "{name}", which the model gets encoded '
                "as other columns (categories, parts of a date, components): leave it out, or select it as a "
                "number"
            )
    return str(tuple(int(signs.get(column.name, 0)) for column in encoded))


def _is_mixed(name: str, made: Sequence[Encoded], encoded: Sequence[Encoded]) -> bool:
    """Return whether the column may be inside of those that are made of several; unused ones are in none."""
    return not made and any(not column.name for column in encoded)


def _interaction(key: str, value: Any, names: Sequence[str], encoded: Sequence[Encoded]) -> str:
    is_list = isinstance(value, list | tuple) and all(isinstance(group, list | tuple) for group in value)
    if not is_list:
        raise SpecError(f"hyperparameter {key!r} must be a list of lists of column names, got {value!r}")
    positions = []
    for group in value:
        is_number = [isinstance(item, int) and not isinstance(item, bool) for item in group]
        if any(yes and not 0 <= item < len(names) for item, yes in zip(group, is_number, strict=True)):
            raise SpecError(f"hyperparameter {key!r} has positions from 0 to {len(names) - 1}, got {group!r}")
        members = [names[item] if yes else item for item, yes in zip(group, is_number, strict=True)]
        _check_names(key, members, names)
        for name in members:
            if _is_mixed(name, [column for column in encoded if column.name == name], encoded):
                raise SpecError(
                    f'hyperparameter {key!r}: column "{name}" is mixed with others before the fit'
                )
        positions.append([number for number, column in enumerate(encoded) if column.name in members])
    return str([group for group in positions if group])


def _weights(key: str, value: Any, names: Sequence[str], encoded: Sequence[Encoded]) -> list[float]:
    weights = _by_name(key, value, names)
    if any(not column.name for column in encoded):
        raise SpecError(f"hyperparameter {key!r}: columns are mixed with one another before the fit")
    if any(not 0 <= weight < float("inf") for weight in weights.values()):
        raise SpecError(f"hyperparameter {key!r} must have weights of at least 0, got {value!r}")
    return [weights.get(column.name, 1.0) for column in encoded]


_TRANSLATORS = {
    "monotone_constraints": _monotone,
    "interaction_constraints": _interaction,
    "feature_weights": _weights,
}


def trace(step: Any, columns: Sequence[Encoded]) -> list[Encoded]:
    """Return what a fitted transformer makes of the columns."""
    if step is None or isinstance(step, str):
        return [] if step == "drop" else list(columns)
    if isinstance(step, Pipeline):
        for _, part in step.steps:
            columns = trace(part, columns)
        return list(columns)
    if isinstance(step, ColumnTransformer):
        return _trace_blocks(step, columns)
    if isinstance(step, INCREASING) or (isinstance(step, FunctionTransformer) and step.func is None):
        return list(columns)
    if isinstance(step, SimpleImputer) and (step.keep_empty_features or not _has_empty(step)):
        marked = step.indicator_.features_.tolist() if step.add_indicator else []
        return [*columns, *(replace(columns[number], increasing=False) for number in marked)]
    if isinstance(step, OneHotEncoder) and step.drop is None:
        widths = [len(known) for known in step.categories_]
        for number, grouped in enumerate(getattr(step, "infrequent_categories_", ())):
            widths[number] -= 0 if grouped is None else len(grouped) - 1
        return [
            Encoded(column.name, False)
            for column, width in zip(columns, widths, strict=True)
            for _ in range(width)
        ]
    if isinstance(step, DateTimeVectorizer) and not step.cyclical:
        return [Encoded(column.name, False) for column in columns for _ in step.parts]
    if isinstance(step, TextStatistics):
        return [Encoded(column.name, False) for column in columns for _ in CLASSES]
    if isinstance(step, TextVectorizer):
        widths = [step.max_features if step.fixed_width else len(terms) for terms in step.terms_]
        return [
            Encoded(c.name, False) for c, width in zip(columns, widths, strict=True) for _ in range(width)
        ]
    n_outputs = _n_outputs(step)
    if n_outputs == len(columns) and type(step).__name__ == "OrdinalEncoder":
        return [Encoded(column.name, False) for column in columns]
    return [Encoded("", False)] * n_outputs


def _has_empty(imputer: SimpleImputer) -> bool:
    return any(value != value for value in imputer.statistics_.tolist())


def _n_outputs(step: Any) -> int:
    """Return how many columns a transformer of another class makes."""
    if hasattr(step, "n_components_"):  # PCA
        return int(step.n_components_)
    return int(step.n_features_in_)


def _trace_blocks(transformer: ColumnTransformer, columns: Sequence[Encoded]) -> list[Encoded]:
    """Return the blocks side by side; columns are selected by name, and by position behind other steps."""
    order = [str(name) for name in getattr(transformer, "feature_names_in_", ())]
    by_name = {name: columns[position] for position, name in enumerate(order)}
    traced: list[Encoded] = []
    for _, part, selected in transformer.transformers_:
        chosen = [by_name[item] if isinstance(item, str) else columns[item] for item in selected]
        if chosen:
            traced += trace(part, chosen)
    return traced
