"""The key `preprocessors`: 'none', or column sets with their transformers, as dicts or in Redshift's JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

from dbt.adapters.postgres_ml.config.kinds import Choice, Kind, Names, Number, Schema, one_of_any_case
from dbt.adapters.postgres_ml.config.section import Key, Section
from dbt.adapters.postgres_ml.config.values import not_one_of, wrong_type
from typing_extensions import override

from postgres_ml.contract.config import ColumnSet
from postgres_ml.features.transformer_rules import (
    SPELLINGS,
    TEXT_STATISTICS,
    TEXT_VECTORIZER,
    check_chain,
    spelled,
)


class Transformer(NamedTuple):
    """What a transformer does, for the page: the columns it takes, what it makes of them, what may follow."""

    takes: str
    gives: str
    followed_by: str


_CATEGORIES = "text, numbers, booleans"
_COMPLETE = "numbers without missing values"
TRANSFORMER_TABLE = {
    "OneHotEncoder": Transformer(
        _CATEGORIES,
        "one column for each category (beyond 256 categories the rarest share one); "
        "NULL is a category if the training rows have any",
        "anything but imputers",
    ),
    "OrdinalEncoder": Transformer(
        _CATEGORIES,
        "the number of the category; -1 for an unseen category, -2 for a missing number",
        "anything",
    ),
    "DateTimeVectorizer": Transformer(
        "dates, timestamps, times of day",
        "year, month, day, weekday and seconds since 1970; for a timestamp the hour as well; "
        "for a time of day the hour and the seconds since midnight",
        "anything",
    ),
    "Imputer": Transformer(
        "anything",
        "the column's mean for missing numbers, its most frequent value for missing categories",
        "anything",
    ),
    "ImputerWithIndicator": Transformer(
        "numbers", "the same, and a column that marks the missing values", "anything but encoders"
    ),
    "StandardScaler": Transformer(
        "numbers; missing values stay missing", "mean 0 and variance 1", "anything but `MinMax`"
    ),
    "MinMax": Transformer(
        "numbers; missing values stay missing", "values from 0 to 1", "anything but `StandardScaler`"
    ),
    "Normalizer": Transformer(_COMPLETE, "the row divided by its Euclidean length", "scalers, `PCA`"),
    "PCA": Transformer(
        _COMPLETE,
        "as many components as explain 95 % of the variance",
        "scalers, `Normalizer`",
    ),
    "NumericPassthrough": Transformer("numbers", "the same numbers", "anything"),
    "TextVectorizer": Transformer(
        "text",
        "one column for each of the most telling words and pairs of words: its tf-idf; "
        "a missing text has no words. See [text.md](text.md)",
        "nothing",
    ),
    "TextStatistics": Transformer(
        "text",
        "how many characters a text has, and how many of them are capitals, digits, beyond ASCII and each "
        "punctuation mark; zeros for a missing text. See [text.md](text.md)",
        "scalers, `PCA`, `Normalizer`",
    ),
}
TRANSFORMERS = tuple(TRANSFORMER_TABLE)


class Transformers(Kind):
    """A chain of transformers, in the order in which they apply."""

    @override
    def read(self, where: str, found: Any, problems: list[str]) -> tuple[str, ...] | None:
        names: tuple[str, ...] | None = Names().read(where, found, problems)
        if names is None:
            return None
        known = tuple(name for name in map(spelled, names) if name is not None)
        wrong = [not_one_of(where, name, TRANSFORMERS) for name in names if spelled(name) is None]
        wrong += [f"{where}: {problem}" for problem in check_chain(known)]
        problems += wrong
        return None if wrong else known

    @property
    @override
    def words(self) -> str:
        return "a list of [transformers](#preprocessors)"

    @override
    def schema(self) -> Schema:
        lines = (f"{name} takes {row.takes}; gives {row.gives}." for name, row in TRANSFORMER_TABLE.items())
        names: Schema = {"enum": list(TRANSFORMERS), "description": "\n\n".join(lines)}
        one = one_of_any_case((names,), SPELLINGS)
        return {"anyOf": [*one["anyOf"], {"type": "array", "items": one, "minItems": 1}]}


COLUMN_SET = Section(
    (
        Key(
            "column_set",
            Names(),
            "the columns of the query that the transformers apply to",
            "`'*'` stands for every feature that no other set names.",
            spellings=("columnset",),
            is_required=True,
        ),
        Key(
            "transformers",
            Transformers(),
            "the transformers of these columns, in the order in which they apply",
            is_required=True,
        ),
        Key(
            "max_features",
            Number(1, 20_000, is_whole=True),
            "how many terms a `TextVectorizer` keeps of each column: those that tell most of the target",
            default=500,
        ),
        Key(
            "min_df",
            Number(1, is_whole=True),
            "in how many rows a term has to be for a `TextVectorizer` to consider it",
            default=5,
        ),
        Key(
            "terms",
            Choice(("words", "pairs", "both")),
            "what a `TextVectorizer` counts: words, pairs of neighbouring words, or both",
            default="both",
        ),
    ),
    "{column_set: [...], transformers: [...]}",
)
OF_TEXT = ("max_features", "min_df", "terms")


class Preprocessors(Kind):
    """Read as a tuple of column sets; () for 'none'."""

    @override
    def read(self, where: str, found: Any, problems: list[str]) -> tuple[ColumnSet, ...] | None:
        if isinstance(found, str):
            if found.strip().lower() == "none":
                return ()
            try:
                found = json.loads(found)
            except ValueError:
                found = str(found)
        if not isinstance(found, list | tuple) or not found:
            example = "[{column_set: ['*'], transformers: ['Imputer', 'StandardScaler']}]"
            problems.append(wrong_type(where, found, f"'none' or a list such as {example}"))
            return None
        before = len(problems)
        sets = [_read_set(f"{where}[{n}]", item, problems) for n, item in enumerate(found)]
        if len(problems) > before:
            return None
        read = tuple(item for item in sets if item is not None)
        problems += _named_twice(where, read)
        return read

    @property
    @override
    def words(self) -> str:
        return "`'none'` or a list of column sets with their transformers"

    @override
    def schema(self) -> Schema:
        none = {"const": "none", "description": "Numbers go into the model as they are, text is refused."}
        json_text = {"type": "string", "pattern": r"^\s*\["}
        sets = {"type": "array", "items": COLUMN_SET.schema(), "minItems": 1}
        return {"anyOf": [*one_of_any_case((none,), ("none",))["anyOf"], sets, json_text]}


def _read_set(where: str, found: Any, problems: list[str]) -> ColumnSet | None:
    values = COLUMN_SET.read(where, found, problems)
    if values is None or "column_set" not in values or "transformers" not in values:
        return None
    columns = values["column_set"]
    unused = [name for name in OF_TEXT if name in values]
    if unused and TEXT_VECTORIZER not in values["transformers"]:
        problems.append(
            f"{where}: {', '.join(unused)} belongs to a {TEXT_VECTORIZER}, and the transformers are "
            f"{', '.join(values['transformers'])}"
        )
    if "*" in columns and len(columns) > 1:
        problems.append(
            f"{where}: '*' means every column that no other set names, so it must be the only name in its set"
        )
    return ColumnSet(columns, values["transformers"], *(values.get(name) for name in OF_TEXT))


def _named_twice(where: str, sets: tuple[ColumnSet, ...]) -> list[str]:
    counts = Counter(column for item in sets for column in dict.fromkeys(item.columns))
    return [
        f"{where}: column '{column}' is in {count} column sets: "
        "put all of its transformers into one set, in their order"
        for column, count in counts.items()
        if count > 1 and not _is_read_twice(item for item in sets if column in item.columns)
    ]


def _is_read_twice(sets: Iterable[ColumnSet]) -> bool:
    """Return whether one set reads a text's words, and the other one its characters."""
    first = sorted(item.transformers[0] for item in sets)
    return first == [TEXT_STATISTICS, TEXT_VECTORIZER]
