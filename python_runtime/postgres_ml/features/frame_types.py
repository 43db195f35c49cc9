"""What a fitted pipeline takes for missing, and for a category: read from what its steps have learned.

Input: a fitted estimator or pipeline, and the columns that it takes. Output: the pipeline behind a step that
gives it frames as it was fitted on (`FrameTypes`), or itself where those are ours.

Our frames have None in text and NaN in numbers. Elsewhere a text's missing value is NaN (pandas' str,
category, objects of read_csv), a number's may be None (objects of a driver), and libraries tell one from the
other. What frames a pipeline was fitted on is stored nowhere; what it learned of them is: encoders list None
or NaN among their categories, imputers say which of them they replace, boosters list their own categories.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from postgres_ml.components.frame_reader import FrameTypes
from postgres_ml.contract.column import Column
from postgres_ml.contract.exceptions import SpecError
from postgres_ml.features.exact_numbers import check_known
from postgres_ml.snapshot.rows import Array

STEP = "frame types"
#: attributes in which estimators keep what they have fitted of others
MEMBERS = (
    *("estimator", "estimator_", "best_estimator_", "regressor_", "classifier_", "final_estimator_"),
    *("estimators_", "calibrated_classifiers_", "_preprocessor"),
)
Positions = Sequence[int | None]
#: by the number in xgboost's JSON, the dtype of categories that are numbers, which it wants to see again
XGBOOST_TYPES = {9: np.int8, 10: np.uint8, 11: np.int16, 13: np.int32, 15: np.int64}


@dataclass
class Learned:
    """What was found of one column.

    Parameters
    ----------
    seen : missing values that stand among learned values: 'nan', 'none'
    replaced : those that imputers replace
    categories : of a booster that encodes the column itself
    values : that encoders list besides missing ones
    """

    seen: set[str] = field(default_factory=set)
    replaced: set[str] = field(default_factory=set)
    categories: Array | None = None
    values: list[Any] = field(default_factory=list)


def as_fitted(model: Any, columns: Sequence[Column]) -> Any:
    """Return the model behind a step that gives it frames as it was fitted on; itself where it needs none.

    Parameters
    ----------
    columns : those that the model takes, in its order

    Raises
    ------
    SpecError
        A column's missing values were both None and NaN, and NULL can only be one of them; or its categories
        are numbers that double precision rounds.
    """
    learned = _learned(model, columns)
    nulls, categories = {}, {}
    for column, found in zip(columns, learned, strict=True):
        null = _null(column, found)
        check_known(column, found.values if found.categories is None else found.categories.tolist())
        if found.categories is not None:
            categories[column.name] = found.categories
        elif null is not None:
            nulls[column.name] = null
    if not nulls and not categories:
        return model
    step = FrameTypes(tuple(column.name for column in columns), nulls, categories)
    steps = model.steps if isinstance(model, Pipeline) else [("estimator", model)]
    return Pipeline([(STEP, step), *steps])


def known_values(model: Any, columns: Sequence[Column]) -> dict[str, list[Any]]:
    """Return, by name, the values that the model's encoders and boosters know of their columns.

    Only those that the argument's kind can have: an encoder behind a fill knows the fill as well.
    """
    kinds: dict[str, tuple[type, ...]] = {
        "text": (str,),
        "number": (int, float),
        "boolean": (bool, int, float),
    }
    known = {}
    for column, found in zip(columns, _learned(model, columns), strict=True):
        listed = found.values if found.categories is None else found.categories.tolist()
        fitting = [value for value in listed if isinstance(value, kinds.get(column.kind, ()))]
        if fitting:
            known[column.name] = fitting
    return known


def _learned(model: Any, columns: Sequence[Column]) -> list[Learned]:
    learned = [Learned() for _ in columns]
    _walk(model, range(len(columns)), [column.name for column in columns], learned)
    return learned


def _null(column: Column, found: Learned) -> str | None:
    """Return the column's missing value, 'nan' or 'none'; None where it is that of our own frames."""
    if len(found.seen) > 1:
        raise SpecError(
            f'NULL in "{column.name}" could be None or NaN: the model has learned both as values of this '
            "column, and tells them apart. Fit it on a column with one of them: astype('str') has NaN only"
        )
    if column.kind not in ("text", "number", "boolean"):
        return None
    own = "none" if column.kind == "text" else "nan"
    for known in (found.seen, found.replaced):
        if len(known) == 1:
            return None if own in known else next(iter(known))
    return None


def _walk(step: Any, positions: Positions, names: Sequence[str], learned: list[Learned]) -> Positions:
    """Note what the step learned of the columns; return the columns that it passes on, None where computed.

    Parameters
    ----------
    positions : of the step's input columns among the model's; None for what isn't one of them any longer
    """
    if step is None or isinstance(step, str):
        return positions if step != "drop" else ()
    if hasattr(step, "transformers_"):
        return _walk_columns(step, positions, names, learned)
    if hasattr(step, "transformer_list"):
        parts = [_walk(part, positions, names, learned) for _, part in step.transformer_list]
        return [position for part in parts for position in part]
    if isinstance(step, Pipeline):
        for _, part in step.steps:
            positions = _walk(part, positions, names, learned)
        return positions
    _note_categories(step, positions, learned)
    if hasattr(step, "statistics_"):
        return _walk_imputer(step, positions, learned)
    if hasattr(step, "missing_values") and hasattr(step, "features_"):
        _note_marker(step, positions, () if step.features == "all" else step.features_, learned)
    _note_booster(step, positions, learned)
    for member in _members(step):
        _walk(member, positions, names, learned)
    keeps = isinstance(step, FrameTypes | FunctionTransformer)
    return positions if keeps else ()


def _members(step: Any) -> Iterator[Any]:
    for name in MEMBERS:
        found = getattr(step, name, None)
        for member in found if isinstance(found, list | tuple) else [found]:
            if hasattr(member, "__dict__") and not isinstance(member, type):
                yield member


def _walk_columns(
    transformer: Any, positions: Positions, names: Sequence[str], learned: list[Learned]
) -> Positions:
    own = [str(name) for name in getattr(transformer, "feature_names_in_", names)]
    passed: list[int | None] = []
    for _, part, selected in transformer.transformers_:
        chosen = column_positions(selected, own, len(positions))
        block = [positions[position] for position in chosen]
        passed += _walk(part, block, [own[p] if p < len(own) else "" for p in chosen], learned)
    return passed


def _walk_imputer(imputer: Any, positions: Positions, learned: list[Learned]) -> Positions:
    """Note which missing value is replaced; the columns with nothing but missing values are gone."""
    kept: list[int | None] = []
    marked = getattr(getattr(imputer, "indicator_", None), "features_", ())
    _note_marker(imputer, positions, marked, learned)
    for position, statistic in zip(positions, np.asarray(imputer.statistics_).tolist(), strict=False):
        if position is not None and statistic is None:
            learned[position].seen.add("none")
        if imputer.keep_empty_features or not _is_nan(statistic):
            kept.append(position)
    return [*kept, *(None for _ in marked)]


def _note_marker(step: Any, positions: Positions, marked: Any, learned: list[Learned]) -> None:
    marker = step.missing_values
    kind = "none" if marker is None else "nan" if _is_nan(marker) else None
    if kind is None:
        return
    for number, position in enumerate(positions):
        if position is not None:
            learned[position].replaced.add(kind)
            if number in marked:
                learned[position].seen.add(kind)


def _note_categories(encoder: Any, positions: Positions, learned: list[Learned]) -> None:
    categories = getattr(encoder, "categories_", None)
    if not isinstance(categories, list) or len(categories) != len(positions):
        return
    for position, values in zip(positions, categories, strict=True):
        if position is None:
            continue
        for value in np.asarray(values, dtype=object).tolist():
            if value is None or _is_nan(value):
                learned[position].seen.add("none" if value is None else "nan")
            else:
                learned[position].values.append(value)


def _is_nan(value: Any) -> bool:
    return isinstance(value, float | np.floating) and bool(np.isnan(value))


def _note_booster(estimator: Any, positions: Positions, learned: list[Learned]) -> None:
    for number, categories in booster_categories(estimator).items():
        if number < len(positions) and (position := positions[number]) is not None:
            learned[position].categories = categories


def booster_categories(estimator: Any) -> dict[int, Array]:
    """Return, by feature, the categories of a data frame that xgboost or lightgbm encodes itself."""
    library = type(estimator).__module__.partition(".")[0]
    if library == "xgboost":
        booster = estimator if hasattr(estimator, "save_raw") else getattr(estimator, "_Booster", None)
        return {} if booster is None else _of_xgboost(booster)
    if library == "lightgbm":
        booster = getattr(estimator, "_Booster", estimator)
        return _of_lightgbm(booster) if getattr(booster, "pandas_categorical", None) else {}
    booster = getattr(estimator, "booster", None)  # in one of our own estimators
    is_booster = type(booster).__name__ == "Booster"
    return booster_categories(booster) if is_booster else {}


def _of_xgboost(booster: Any) -> dict[int, Array]:
    if "c" not in (booster.feature_types or ()):
        return {}
    boosting = json.loads(bytes(booster.save_raw("json")))["learner"]["gradient_booster"]
    encodings = boosting.get("gbtree", boosting)["model"].get("cats", {}).get("enc") or []
    found = {number: _xgboost_categories(encoding) for number, encoding in enumerate(encodings)}
    return {number: categories for number, categories in found.items() if len(categories)}


def _xgboost_categories(encoding: dict[str, Any]) -> Array:
    """Return the categories of one feature: numbers as they are, texts as bytes with their offsets.

    Raises
    ------
    SpecError
        A text isn't ASCII: xgboost counts its letters and cuts its bytes.
    """
    if "offsets" not in encoding:
        return np.array(encoding["values"], dtype=XGBOOST_TYPES.get(encoding["type"], np.int64))
    text, ends = bytes(value % 256 for value in encoding["values"]), encoding["offsets"]
    if not text.isascii():
        raise SpecError(
            "xgboost stores categories with letters beyond ASCII damaged (it counts letters where it cuts "
            "bytes), so the model's own can't be read: encode them with an OrdinalEncoder"
        )
    return np.array([text[start:end].decode() for start, end in itertools.pairwise(ends)], dtype=object)


def _of_lightgbm(booster: Any) -> dict[int, Array]:
    """Return the categories: the model lists those of its category columns, in order, without their names.

    Which columns those are shows in their ranges: [low:high] of numbers, code:code of categories.

    Raises
    ------
    SpecError
        More columns were declared categorical than came as pandas' category.
    """
    header = booster.model_to_string(num_iteration=1).partition("\nTree=")[0]
    (infos,) = (line for line in header.splitlines() if line.startswith("feature_infos="))
    ranges = infos.removeprefix("feature_infos=").split(" ")
    n_listed = len(booster.pandas_categorical)
    coded = [number for number, text in enumerate(ranges) if not text.startswith("[") and text != "none"]
    if len(coded) < n_listed:  # a column with one category is as useless as a constant number
        coded = [number for number, text in enumerate(ranges) if not text.startswith("[")]
    if len(coded) != n_listed:
        raise SpecError(
            f"lightgbm lists the categories of {n_listed} columns of dtype category, and doesn't say which "
            "columns these are: fit it with all categorical columns of dtype category, without constant "
            "columns, and none of them ordered (lightgbm takes an ordered one for a number)"
        )
    return {
        n: np.array(listed, dtype=object) for n, listed in zip(coded, booster.pandas_categorical, strict=True)
    }


def column_positions(selected: Any, names: Sequence[str] | None, n_columns: int) -> list[int]:
    """Return the positions that a ColumnTransformer's fitted column selection stands for."""
    if isinstance(selected, slice):
        if isinstance(selected.start, str) or isinstance(selected.stop, str):
            # label slices include their end
            start = 0 if selected.start is None else list(names or ()).index(selected.start)
            stop = n_columns if selected.stop is None else list(names or ()).index(selected.stop) + 1
            return list(range(start, stop))[:: selected.step or 1]
        return list(range(n_columns))[selected]
    items: list[Any] = [selected] if np.isscalar(selected) else list(selected)
    if items and all(isinstance(item, bool | np.bool_) for item in items):
        return [position for position, chosen in enumerate(items) if chosen]
    labels = list(names or ())
    return [labels.index(item) if isinstance(item, str) else range(n_columns)[item] for item in items]
