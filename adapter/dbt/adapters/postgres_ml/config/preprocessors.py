"""The `preprocessors` of a create_model: 'none', or column sets, as dicts or in Redshift's JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from dbt.adapters.postgres_ml.config.values import hint, wrong_type

from postgres_ml.contract.config import ColumnSet
from postgres_ml.features.transformer_rules import TRANSFORMERS, check_chain, spelled

FORM = "'none' or a list such as [{column_set: ['*'], transformers: ['Imputer', 'StandardScaler']}]"
KEYS = {"columnset": "column_set", "column_set": "column_set", "transformers": "transformers"}


def read_preprocessors(found: Any, problems: list[str]) -> tuple[ColumnSet, ...] | None:
    """Return the column sets, () for 'none' and None where nothing is said; append what is wrong."""
    if found is None:
        return None
    if isinstance(found, str):
        if found.strip().lower() == "none":
            return ()
        try:
            found = json.loads(found)
        except ValueError:
            found = str(found)
    if not isinstance(found, list | tuple) or not found:
        problems.append(wrong_type("preprocessors", found, FORM))
        return None
    before = len(problems)
    sets = [_read_set(f"preprocessors[{n}]", item, problems) for n, item in enumerate(found)]
    if len(problems) > before:
        return None
    read = tuple(item for item in sets if item is not None)
    problems += _named_twice(read)
    return read


def _read_set(where: str, found: Any, problems: list[str]) -> ColumnSet | None:
    if not isinstance(found, dict):
        problems.append(wrong_type(where, found, "a dict {column_set: [...], transformers: [...]}"))
        return None
    given: dict[str, Any] = {}
    for key, value in found.items():
        name = KEYS.get(str(key).lower())
        if name is None:
            problems.append(f"{where}: unknown key '{key}'{hint(str(key), ('column_set', 'transformers'))}")
        else:
            given[name] = value
    texts = {name: _texts(f"{where}: {name}", given.get(name), problems) for name in set(KEYS.values())}
    transformers = tuple(_transformers(where, texts["transformers"], problems))
    problems += [f"{where}: {problem}" for problem in check_chain(transformers)]
    if "*" in texts["column_set"] and len(texts["column_set"]) > 1:
        problems.append(f"{where}: '*' stands for all columns that no other set names: it stands alone")
    return ColumnSet(texts["column_set"], transformers)


def _texts(where: str, found: Any, problems: list[str]) -> tuple[str, ...]:
    listed = [found] if isinstance(found, str) else found
    if not isinstance(listed, list | tuple) or not listed or not all(isinstance(t, str) for t in listed):
        problems.append(wrong_type(where, found, "a list of names"))
        return ()
    return tuple(listed)


def _transformers(where: str, names: tuple[str, ...], problems: list[str]) -> Iterator[str]:
    for name in names:
        known = spelled(name)
        if known is None:
            likely = {transformer.lower(): transformer for transformer in TRANSFORMERS}
            likely_name = hint(name, tuple(likely))
            for lower, proper in likely.items():
                likely_name = likely_name.replace(f"'{lower}'", f"'{proper}'")
            problems.append(
                f"{where}: transformer '{name}' is not one of {', '.join(TRANSFORMERS)}{likely_name}"
            )
        else:
            yield known


def _named_twice(sets: tuple[ColumnSet, ...]) -> list[str]:
    counts = Counter(column for item in sets for column in dict.fromkeys(item.columns))
    return [
        f"preprocessors: column '{column}' is in {count} column sets: "
        "put all of its transformers into one, in their order"
        for column, count in counts.items()
        if count > 1
    ]
