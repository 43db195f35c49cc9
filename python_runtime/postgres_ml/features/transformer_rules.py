"""Redshift's ten transformers and two for free text, and which may follow which: rules of `preprocessors`.

Stdlib only: the adapter checks configs with it while dbt parses. `configured` makes scikit-learn's of them.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from postgres_ml.contract.column import Column
from postgres_ml.contract.config import ColumnSet

TRANSFORMERS = (
    "OneHotEncoder",
    "OrdinalEncoder",
    "NumericPassthrough",
    "Imputer",
    "ImputerWithIndicator",
    "Normalizer",
    "DateTimeVectorizer",
    "PCA",
    "StandardScaler",
    "MinMax",
    "TextVectorizer",
    "TextStatistics",
)
SPELLINGS = {name.lower(): name for name in TRANSFORMERS} | {"minmaxscaler": "MinMax"}

IMPUTERS = ("Imputer", "ImputerWithIndicator")
CATEGORY_ENCODERS = ("OneHotEncoder", "OrdinalEncoder")
TEXT_VECTORIZER, TEXT_STATISTICS = "TextVectorizer", "TextStatistics"
ENCODERS = (*CATEGORY_ENCODERS, "DateTimeVectorizer", TEXT_STATISTICS)
OF_TEXT = (*CATEGORY_ENCODERS, TEXT_STATISTICS, TEXT_VECTORIZER)
SCALERS = ("StandardScaler", "MinMax")
JOINT = ("Normalizer", "PCA")  # they take a row as a whole, and no missing values


def check_chain(transformers: Sequence[str]) -> list[str]:
    """Return what is wrong with applying these transformers, in this order; empty if nothing is."""
    problems = [
        f"{name} appears {transformers.count(name)} times"
        for name in dict.fromkeys(transformers)
        if transformers.count(name) > 1 and name not in SCALERS
    ]
    others = [name for name in transformers if name != TEXT_VECTORIZER]
    if TEXT_VECTORIZER in transformers and others:
        return [
            *problems,
            f"{TEXT_VECTORIZER} stands alone: it leaves nothing missing, and takes no {others[0]}",
        ]
    for family in (ENCODERS, IMPUTERS):
        found = [name for name in dict.fromkeys(transformers) if name in family]
        if len(found) > 1:
            problems.append(f"{' and '.join(found)} cannot be combined")
    for first, second in _scaled_twice(transformers):
        problems.append(f"{second} undoes {first}: choose one, or put a PCA or Normalizer between them")
    for position, name in enumerate(transformers):
        problem = _too_late(name, transformers[:position])
        if problem:
            problems.append(problem)
    return problems


def _too_late(name: str, before: Sequence[str]) -> str:
    """Return which of the transformers before this one it must precede, and why; empty if none."""
    if name in CATEGORY_ENCODERS:
        wrong = [other for other in before if other not in (*IMPUTERS, *ENCODERS)]
        if wrong or "ImputerWithIndicator" in before:
            names = " and ".join(wrong or before)
            return f"{name} reads the query's own values, so it must come before {names}"
    elif name == "DateTimeVectorizer" and any(other not in ENCODERS for other in before):
        return f"DateTimeVectorizer reads the query's own dates, so it must come before {before[0]}"
    elif name == TEXT_STATISTICS and any(other not in ENCODERS for other in before):
        return f"{TEXT_STATISTICS} reads the query's own texts, so it must come before {before[0]}"
    elif name in IMPUTERS:
        wrong = [other for other in before if other in (*JOINT, "OneHotEncoder", TEXT_STATISTICS)]
        if wrong:
            reason = "takes none" if wrong[0] in JOINT else "leaves no missing value"
            return f"{name} must come before {wrong[0]}, which {reason}"
    return ""


def spelled(name: str) -> str | None:
    """Return the transformer's name in Redshift's spelling, whatever its case; None if there is no such."""
    return SPELLINGS.get(name.strip().lower())


def _scaled_twice(transformers: Sequence[str]) -> list[tuple[str, str]]:
    """Return pairs of scalers between which no columns are mixed."""
    pairs, last = [], None
    for name in transformers:
        if name in SCALERS:
            if last is not None:
                pairs.append((last, name))
            last = name
        elif name in JOINT:
            last = None
    return pairs


def check_columns(sets: Sequence[ColumnSet] | None, features: Sequence[Column]) -> list[str]:
    """Return what is wrong with the sets for these columns: names and types; empty if nothing is.

    Parameters
    ----------
    sets : None is the training's own choice, which takes every column; () is none at all
    """
    if sets is None:
        return []
    by_name = {column.name: column for column in features}
    named = {name for item in sets for name in item.columns}
    problems = []
    for name in sorted(named - set(by_name) - {"*"}):
        near = difflib.get_close_matches(name, by_name, 1, 0.5)
        hint = f', did you mean "{near[0]}"?' if near else f"; it has: {', '.join(by_name)}"
        problems.append(f'preprocessors: the query has no feature "{name}"{hint}')
    for item in sets:
        problems += [
            problem
            for name in members(item, sets, list(by_name))
            if name in by_name and (problem := _type_problem(by_name[name], item.transformers))
        ]
    if not sets:
        problems += [
            f"column \"{column.name}\" is of type {column.sql_type} and preprocessors are 'none': "
            f"give it a {_encoder_of(column)}, or leave it out"
            for column in features
            if column.kind not in ("number", "boolean")
        ]
    return problems


def members(item: ColumnSet, sets: Sequence[ColumnSet], names: Sequence[str]) -> tuple[str, ...]:
    """Return the columns that the set stands for: '*' is every one that no other set names."""
    if item.columns != ("*",):
        return item.columns
    named = {name for other in sets for name in other.columns}
    return tuple(name for name in names if name not in named)


def _encoder_of(column: Column) -> str:
    if column.kind == "text":
        return "OneHotEncoder, an OrdinalEncoder or a TextVectorizer"
    return "DateTimeVectorizer"


def _type_problem(column: Column, transformers: Sequence[str]) -> str | None:
    wrong: str | None = None
    if column.kind == "text":
        if not set(transformers) & set(OF_TEXT):
            wrong = next((name for name in transformers if name not in IMPUTERS), transformers[0])
    elif column.kind in ("number", "boolean"):
        needs = {TEXT_VECTORIZER: "text", TEXT_STATISTICS: "text"}
        needs["DateTimeVectorizer"] = "a date, time or timestamp"
        wrong = next((name for name in transformers if name in needs), None)
        if wrong:
            return (
                f'preprocessors: column "{column.name}" is of type {column.sql_type}, and a {wrong} needs '
                f"{needs[wrong]}"
            )
    elif "DateTimeVectorizer" not in transformers:
        wrong = transformers[0]
    if wrong is None:
        return None
    return (
        f'preprocessors: column "{column.name}" is of type {column.sql_type}, which {wrong} doesn\'t take: '
        f"give it a {_encoder_of(column)}"
    )
