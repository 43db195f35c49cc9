"""The one statement that reads the training rows: casts, content hash, and sampling inside the database.

The training query inside it needs the session's search_path. So functions are qualified, and operators get
operands of the very types that they are defined for (a quoted number takes the other operand's): no function
of somebody else's in that path fits better.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from postgres_ml.contract.column import STRINGS, Column
from postgres_ml.contract.config import ProblemType, Settings
from postgres_ml.contract.sql_names import identifier, text
from postgres_ml.snapshot.point import in_utc

# A numeric target with at most this many values may turn out to be classes (see `problem_type`), so that a
# sample keeps each of them.
MAX_NUMERIC_CLASSES = 20
# Rows of each class that a sample keeps if it can: with a hold-out of 20 %, the chance that a class has fewer
# than two rows there is 0.8^50 (1 + 50 / 4) = 2e-4.
CLASS_ROWS = 50

# What a row has instead of NULL, so that all rows have these fields at the same places: NaN, which is missing
# as NULL is, and the least bigint, which NumPy reads as "not a time".
MISSING = -(2**63)
# Later dates don't fit into 64 bits of microseconds since 1970; like 'infinity' they are missing.
LATEST = "294247-01-01"
# The hashes of all rows as one number that no order changes, and that a row's second occurrence does change.
# `h` stands here once, so that it is computed once without a subquery that keeps parallel workers out.
DATA_DIGEST = (
    "pg_catalog.hashtextextended(pg_catalog.concat_ws(' ', pg_catalog.count(*), pg_catalog.sum({h})), 0)"
)
TEXT_HASH = "pg_catalog.hashtextextended({0}::pg_catalog.text, {1})"
# Postgres's own hash of a column's value with a seed; a column of any other type is hashed as a record.
# Traps: a float's zero, and numeric's NaN and infinities, hash to the seed itself, as NULL did; numeric's
# hash leaves out the sign, and joins the power of 10,000 by exclusive or, so that it is hashed once more; a
# bigint's folds its halves into one; that of a time with its zone joins two by exclusive or, and 00:00+00 has
# NULL's.
COLUMN_HASHES = {
    "smallint": "pg_catalog.hashint2extended({0}, {1})",
    "integer": "pg_catalog.hashint4extended({0}, {1})",
    "bigint": "pg_catalog.hashint8extended({0} & 4294967295, {1})"
    " # pg_catalog.hashint4extended(({0} >> 32)::integer, {2})",
    "real": "pg_catalog.hashfloat4extended({0}, {1})",
    "double precision": "pg_catalog.hashfloat8extended({0}, {1})",
    "numeric": "pg_catalog.hashint8extended("
    "pg_catalog.hash_numeric_extended({0}, case when {0} < '0' then {1} + 1 else {1} - 1 end), {2})",
    "boolean": "pg_catalog.hashint4extended({0}::integer, {1})",
    "text": "pg_catalog.hashtextextended({0}, {1})",
    "character varying": "pg_catalog.hashtextextended({0}, {1})",
    "time with time zone": TEXT_HASH,
}

UNCLASSED = (
    "regression",
    "clustering",
    "anomaly_detection",
    "forecasting",
)  # problem types that have no classes
INTEGER_TYPES = frozenset({"smallint", "integer", "bigint"})


@dataclass(frozen=True)
class StoredColumn:
    """A column of the snapshot.

    Parameters
    ----------
    name : 'split', 'label', 'exact', 'weight' or 'c0', 'c1'… in the order of the features
    sql_type : what it is cast to; only text may be NULL
    expression : in terms of `query`
    """

    name: str
    sql_type: Literal["float8", "bigint", "boolean", "text"]
    expression: str


def stored_columns(
    features: Sequence[Column],
    target: Column | None,
    settings: Settings | None = None,
    problem_type: ProblemType | None = None,
    weight: Column | None = None,
) -> tuple[StoredColumn, ...]:
    """Return the snapshot's columns in their order: those of one size before those of text.

    Parameters
    ----------
    settings, problem_type : name the column that says which rows are held out, and whether the target may be
        a label; who reads the file needn't know
    """
    columns = [StoredColumn("split", "bigint", _split(settings or Settings()))]
    columns += [_feature(f"c{index}", column) for index, column in enumerate(features)]
    columns.append(_target(target))
    if target is not None and target.sql_type == "numeric":
        columns.append(StoredColumn("exact", "text", _exact(target, problem_type)))
    if weight is not None:
        columns.append(_feature("weight", weight))
    return tuple(sorted(columns, key=lambda column: column.sql_type == "text"))


def snapshot_query(
    sql: str,
    features: Sequence[Column],
    target: Column | None,
    settings: Settings,
    problem_type: ProblemType | None,
    server_version: int,
    weight: Column | None = None,
) -> str:
    """Return the query of the rows to train on: a column `totals`, then those of `stored_columns`.

    Its first row holds the totals as a text: rows, rows with a target, digest of all rows (the same that
    `data_digest_query` returns, of what this statement reads). In all others that field is NULL. Numbers and
    booleans are cast to double precision as the function's arguments will be, an integer target to bigint so
    that no label is rounded; `exact` is the text of a numeric target that double precision would round, where
    that may be a label. Dates and times are microseconds since 1970 in UTC, times of day since
    midnight. Without a target that column is 0. `split` is 1 in rows to hold out and 0 in all others.

    A sample is drawn by an md5 of the row's values, which doesn't depend on the order of rows, on the names
    of columns or on the server's version; it is computed only if there is one to draw. It numbers equal
    rows, so that a table of few distinct rows is thinned evenly. The hold-out follows from another hash
    (see `training_data`), so that the two are independent.
    """
    columns = stored_columns(features, target, settings, problem_type, weight)
    names = ", ".join(column.name for column in columns)
    max_rows = settings.max_cells // (len(features) + 1)
    selected = ", ".join(f"{column.expression} as {column.name}" for column in columns)
    nulls = ", ".join(f"null::{column.sql_type} as {column.name}" for column in columns)
    row_hash = _row_hash(
        [*features, *(column for column in (target, weight) if column)], settings, server_version
    )
    return f"""with read as materialized (
  select {selected}, {row_hash} as h
  from (
{sql}
) query
), totals as (
  select pg_catalog.count(*) as n_rows, pg_catalog.count(label) as n_labelled,
    {DATA_DIGEST.format(h="h")} as digest
  from read
), {_sample(names, _stratum(target, problem_type), max_rows)}
select pg_catalog.concat_ws(' ', n_rows, n_labelled, digest) as totals, {nulls}
from totals
union all
select null, {names} from read
where label is not null and (select n_labelled <= {max_rows} from totals)
union all
select null, {names} from candidates where rank::float8 <= quota"""


def around_rows(
    features: Sequence[Column],
    target: Column | None,
    settings: Settings,
    problem_type: ProblemType | None,
    weight: Column | None = None,
) -> tuple[str, str]:
    """Return what makes a query's rows those of `snapshot_query`, before and after the inner query.

    All rows that have a target come, no totals; the column in front, which holds these there, is NULL. Where
    the inner query is a plain table's, Postgres scans no more pages than its condition on `ctid` names.
    """
    columns = stored_columns(features, target, settings, problem_type, weight)
    selected = ", ".join(f"{column.expression} as {column.name}" for column in columns)
    labelled = "" if target is None else f" where query.{identifier(target.name)} is not null"
    return f"select null::text as totals, {selected} from (\n", f"\n) query{labelled}"


def data_digest_query(
    sql: str,
    columns: Sequence[Column],
    settings: Settings,
    server_version: int,
    target: Column | None = None,
) -> str:
    """Return a query of one row: the digest of the query's rows, whatever their order, and their number.

    Parameters
    ----------
    columns : all of the query's
    target : adds a third column, the number of rows that have one; without a target all have
    """
    digest = DATA_DIGEST.format(h=_row_hash(columns, settings, server_version))
    labelled = "*" if target is None else f"query.{identifier(target.name)}"
    return f"""select {digest}, pg_catalog.count(*), pg_catalog.count({labelled}) from (
{sql}
) query"""


def _row_hash(columns: Sequence[Column], settings: Settings, server_version: int) -> str:
    """A row's 64-bit hash: those of its columns, each with a seed of its own, joined by exclusive or.

    Not the record's own hash, which costs 1.45 times as much (eight columns) and is linear in the columns':
    summed over rows it would not notice values that change places within a column. So the record of several
    columns of other types, which have no hash with a seed here, is hashed once more.
    """
    columns = [column for column in columns if column.name != settings.split_column]
    hashes, others = [], [identifier(name) for name in (settings.split_column,) if name]
    for column in columns:
        if column.sql_type not in COLUMN_HASHES and not _is_enum(column):
            others.append(identifier(column.name))
            continue
        seed = zlib.crc32(column.name.encode())
        hashes.append(_column_hash(column, seed, server_version))
    if others:
        record = f"row({', '.join(f'query.{name}' for name in sorted(others))})"
        is_old = server_version < 140000  # and hashes a record's text instead
        hashed = f"pg_catalog.hash_record_extended({record}, 0)"
        if is_old or len(others) > 1:
            hashed = f"pg_catalog.hashtextextended({record if is_old else hashed}::text, 0)"
        hashes.append(hashed)
    return " # ".join(hashes)


def _is_enum(column: Column) -> bool:
    """Return whether the column is of an enum, whose labels may be renamed: its own hash is of their OIDs."""
    return column.kind == "text" and column.sql_type not in STRINGS


def _column_hash(column: Column, seed: int, server_version: int) -> str:
    value = f"query.{identifier(column.name)}"
    hashes = COLUMN_HASHES.get(column.sql_type, TEXT_HASH)
    hashed = hashes.format(value, seed, zlib.crc32(b"again " + column.name.encode()))
    if column.sql_type == "numeric":
        special = ["NaN"] if server_version < 140000 else ["NaN", "Infinity", "-Infinity"]
        cases = " ".join(f"when '{name}' then {_constant(seed, name)}" for name in special)
        hashed = f"case {value} {cases} else {hashed} end"
    return f"coalesce({hashed}, {_constant(seed, 'NULL')})"


def _constant(seed: int, name: str) -> int:
    """Return 64 bits that stand for a special value, signed as bigint is."""
    digest = hashlib.sha256(f"{seed} {name}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def _sample(names: str, stratum: str, max_rows: int) -> str:
    """Return the CTEs that end in `candidates`, whose rows with `rank <= quota` are the sample.

    Each stratum first keeps `CLASS_ROWS`, or its share of half the rows where that is less; what is left is
    divided in proportion.
    """
    return f"""numbered as (  -- nothing is sorted here while all rows fit
  select *, pg_catalog.row_number() over (partition by digest) as occurrence from (
    select *, {stratum} as stratum, pg_catalog.md5(row({names})::text) as digest from read
    where label is not null and (select n_labelled > {max_rows} from totals)
    offset 0  -- or the digest would be computed twice
  ) digested
), keyed as (
  select *, {_unit("pg_catalog.md5(pg_catalog.concat(digest, ' ', occurrence))")} as key from numbered
), strata as (
  select stratum, pg_catalog.count(*) as n, pg_catalog.count(*) over () as n_strata
  from keyed
  group by stratum
), reserved as (
  select *, least(n, {CLASS_ROWS}, {max_rows} / (2 * n_strata)) as kept from strata
), quotas as (
  select stratum, n, kept::float8 + pg_catalog.floor(('{max_rows}' - pg_catalog.sum(kept) over ())::float8
    * ((n - kept)::float8 / greatest(pg_catalog.sum(n - kept) over (), '1')::float8)) as quota
  from reserved
), candidates as (  -- the filter leaves 1.5 times the rows needed and keeps the sort small
  select keyed.*, quota, pg_catalog.row_number() over (partition by keyed.stratum order by key) as rank
  from keyed join quotas on keyed.stratum is not distinct from quotas.stratum
  where key <= ('1.5' * quota + '100') / n::float8
)"""


def _feature(name: str, column: Column) -> StoredColumn:
    value = f"query.{identifier(column.name)}"
    if column.kind == "text":
        return StoredColumn(name, "text", f"{value}::text")
    if column.kind in ("number", "boolean"):
        cast = "::integer::float8" if column.kind == "boolean" else "::float8"
        return StoredColumn(name, "float8", f"coalesce({value}{cast}, 'NaN')")
    microseconds = f"(extract(epoch from {value}) * '1000000')::bigint"
    if column.kind != "time":
        microseconds = (
            f"case when pg_catalog.isfinite({value}) and {value} < '{LATEST}' then {microseconds} end"
        )
    return StoredColumn(name, "bigint", f"coalesce({microseconds}, {MISSING})")


def _target(column: Column | None) -> StoredColumn:
    """Return the label, which may be NULL here: such rows aren't written."""
    if column is None:
        return StoredColumn("label", "bigint", "0::bigint")
    value = f"query.{identifier(column.name)}"
    if column.sql_type in INTEGER_TYPES:
        return StoredColumn("label", "bigint", f"{value}::bigint")
    if column.kind == "number":
        return StoredColumn("label", "float8", f"{value}::float8")
    return StoredColumn("label", column.kind, f"{value}::{column.kind}")  # type: ignore[arg-type]  # boolean or text


def _exact(target: Column, problem_type: ProblemType | None) -> str:
    """Return the text of a numeric label that no double prints; NULL of any other, and of what is measured.

    Without a problem type numeric values are classes only if they are whole (see `features.problem.infer`).
    """
    if problem_type in UNCLASSED:
        return "null::text"
    value = f"query.{identifier(target.name)}"
    is_rounded = f"{value}::float8::text::numeric is distinct from {value}"
    if problem_type is None:
        is_rounded = f"{value} = pg_catalog.trunc({value}) and {is_rounded}"
    return f"case when {is_rounded} then {value}::text end"


def _split(settings: Settings) -> str:
    """Return the side of a row as bigint; a time that is NULL isn't after anything."""
    if settings.holdout_time is not None:
        after = text(in_utc(settings.holdout_after or ""))
        return f"coalesce(query.{identifier(settings.holdout_time)} >= {after}, false)::integer::bigint"
    if settings.holdout_column is not None:
        return f"coalesce(query.{identifier(settings.holdout_column)}::integer, 0)::bigint"
    return f"({MISSING})::bigint"


def _stratum(target: Column | None, problem_type: ProblemType | None) -> str:
    """Each side of a split is sampled for itself, in it each class; the rows of a regression all together."""
    if problem_type in UNCLASSED or target is None:
        return "split::text"
    value = "coalesce(exact, label::text)" if target.sql_type == "numeric" else "label::text"
    if problem_type is None and target.kind == "number":
        few = f"select pg_catalog.count(distinct label) <= {MAX_NUMERIC_CLASSES} from read"
        value = f"case when ({few}) then {value} end"
    return f"pg_catalog.concat(split, ' ', {value})"


def _unit(digest: str) -> str:
    """A number in [0, 1) from the first 48 bits of a hexadecimal digest."""
    return f"(('x' || pg_catalog.substr({digest}, 1, 12))::bit(48)::bigint::float8 / '{2.0**48}')"
