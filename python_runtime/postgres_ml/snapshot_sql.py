"""The one statement that reads the training rows: casts, content hash, and sampling inside the database."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from postgres_ml.spec import Column, ProblemType, Settings
from postgres_ml.sql_names import identifier, text

# A numeric target with at most this many values may turn out to be classes (see `problem_type`), so that a
# sample keeps each of them.
MAX_NUMERIC_CLASSES = 20
# Rows of each class that a sample keeps if it can: with a hold-out of 20 %, the chance that a class has fewer
# than two rows there is 0.8^50 (1 + 50 / 4) = 2e-4.
CLASS_ROWS = 50

CASTS = {"number": "float8", "boolean": "boolean", "text": "text"}
# Later dates don't fit into 64 bits of microseconds since 1970; like 'infinity' they are missing.
LATEST = "294247-01-01"
# The hashes of all rows as one number that no order changes, and that a row's second occurrence does change.
# `h` stands here once, so that it is computed once without a subquery that keeps parallel workers out.
DATA_DIGEST = "hashtextextended(concat_ws(' ', count(*), sum({h})), 0)"
# Postgres's own hash of a column's value with a seed. A column of any other type is hashed as a record.
COLUMN_HASHES = {
    "smallint": "hashint2extended({0}, {1})",
    "integer": "hashint4extended({0}, {1})",
    "bigint": "hashint8extended({0}, {1})",
    "real": "hashfloat4extended({0}, {1})",
    "double precision": "hashfloat8extended({0}, {1})",
    "numeric": "hash_numeric_extended({0}, {1})",
    "boolean": "hashint4extended({0}::integer, {1})",
    "text": "hashtextextended({0}, {1})",
    "character varying": "hashtextextended({0}, {1})",
}

INTEGER_TYPES = frozenset({"smallint", "integer", "bigint"})


def snapshot_query(
    sql: str,
    features: Sequence[Column],
    target: Column | None,
    settings: Settings,
    problem_type: ProblemType | None,
    server_version: int,
) -> str:
    """Return a COPY statement: (n_rows, n_labelled, row_hash, split, features…, target) in CSV.

    Its first row holds the totals, with the digest of all rows in place of a row's hash (the same that
    `data_digest_query` returns, of what this statement reads); all others begin with two empty fields.
    Numbers are cast to double precision as the function's arguments will be, an integer target to bigint so
    that no label is rounded. Dates and times are microseconds since 1970 in UTC, times of day since
    midnight. Without a target that column is 0. `split` is 1 in rows to hold out and 0 in all others, NULL
    where `settings` want a fraction.

    `row_hash` is the second half of the md5 of the row's values: it doesn't depend on the order of rows, on
    the names of columns or on the server's version. Sampling uses another hash, so that hold-out and sample
    are independent, and numbers equal rows, so that a table of few distinct rows is thinned evenly.
    """
    expressions = [_feature(column) for column in features] + [_target(target)]
    names = [f"c{index}" for index in range(len(expressions))]
    label = names[-1]
    columns = ", ".join(names)
    max_rows = settings.max_cells // len(names)
    row_hash = _row_hash([*features, *([target] if target else [])], settings, server_version)
    selected = [f"{e} as {n}" for e, n in zip(expressions, names, strict=True)]
    return f"""copy (
with read as materialized (
  select {", ".join(selected)}, {_split(settings)} as split, {row_hash} as h
  from (
{sql}
) query
), hashed as materialized (
  select *, md5(row({columns})::text) as digest from read
), totals as (
  select count(*) as n_rows, count({label}) as n_labelled, {DATA_DIGEST.format(h="h")} as digest from hashed
), {_sample(label, _stratum(label, target, problem_type), max_rows)}
select n_rows, n_labelled, digest, null::bigint, {", ".join(f"null::{_type(e)}" for e in expressions)}
from totals
union all
select null, null, {_bits("digest", 17)}, split, {columns} from hashed
where {label} is not null and (select n_labelled <= {max_rows} from totals)
union all
select null, null, {_bits("digest", 17)}, split, {columns} from candidates where rank <= quota
) to stdout (format csv, encoding 'UTF8')"""


def data_digest_query(sql: str, columns: Sequence[Column], settings: Settings, server_version: int) -> str:
    """Return a query of one row: the digest of the query's rows, whatever their order, and their number.

    Parameters
    ----------
    columns : all of the query's
    """
    digest = DATA_DIGEST.format(h=_row_hash(columns, settings, server_version))
    return f"""select {digest}, count(*) from (
{sql}
) query"""


def _row_hash(columns: Sequence[Column], settings: Settings, server_version: int) -> str:
    """A row's 64-bit hash: those of its columns, each with a seed of its own, joined by exclusive or.

    Not the record's own hash, which costs 1.45 times as much (eight columns) and is linear in the columns':
    summed over rows it would not notice values that change places within a column.
    """
    columns = [column for column in columns if column.name != settings.split_column]
    hashes, others = [], [identifier(name) for name in (settings.split_column,) if name]
    for column in columns:
        if column.sql_type not in COLUMN_HASHES:
            others.append(identifier(column.name))
            continue
        seed = zlib.crc32(column.name.encode())
        value = COLUMN_HASHES[column.sql_type].format(f"query.{identifier(column.name)}", seed)
        hashes.append(f"coalesce({value}, {seed})")
    if others:
        record = f"row({', '.join(f'query.{name}' for name in sorted(others))})"
        is_old = server_version < 140000  # and hashes a record's text instead
        hashes.append(
            f"hashtextextended({record}::text, 0)" if is_old else f"hash_record_extended({record}, 0)"
        )
    return " # ".join(hashes)


def _sample(label: str, stratum: str, max_rows: int) -> str:
    """Return the CTEs that end in `candidates`, whose rows with `rank <= quota` are the sample.

    Each stratum first keeps `CLASS_ROWS`, or its share of half the rows where that is less; what is left is
    divided in proportion.
    """
    return f"""numbered as (  -- nothing is sorted here while all rows fit
  select *, {stratum} as stratum,
    row_number() over (partition by digest) as occurrence
  from hashed
  where {label} is not null and (select n_labelled > {max_rows} from totals)
), keyed as (
  select *, {_unit("md5(digest || ' ' || occurrence)")} as key from numbered
), strata as (
  select stratum, count(*) as n, count(*) over () as n_strata from keyed group by stratum
), reserved as (
  select *, least(n, {CLASS_ROWS}, {max_rows} / (2 * n_strata)) as kept from strata
), quotas as (
  select stratum, n, kept + floor(({max_rows} - sum(kept) over ())
    * ((n - kept)::float8 / greatest(sum(n - kept) over (), 1)::float8)) as quota
  from reserved
), candidates as (  -- the filter leaves 1.5 times the rows needed and keeps the sort small
  select keyed.*, quota, row_number() over (partition by keyed.stratum order by key) as rank
  from keyed join quotas on keyed.stratum is not distinct from quotas.stratum
  where key <= (1.5 * quota + 100) / n
)"""


def _feature(column: Column) -> str:
    name = f"query.{identifier(column.name)}"
    if column.kind in ("number", "boolean", "text"):
        return f"{name}::{CASTS[column.kind]}"
    microseconds = f"(extract(epoch from {name}) * 1000000)::bigint"
    if column.kind == "time":
        return microseconds
    return f"case when isfinite({name}) and {name} < '{LATEST}' then {microseconds} end::bigint"


def _target(column: Column | None) -> str:
    if column is None:
        return "0::bigint"
    if column.sql_type in INTEGER_TYPES:
        return f"query.{identifier(column.name)}::bigint"
    return _feature(column)


def _split(settings: Settings) -> str:
    """Return the side of a row as bigint; a time that is NULL isn't after anything."""
    if settings.holdout_time is not None:
        after = text(settings.holdout_after or "")
        return f"coalesce(query.{identifier(settings.holdout_time)} >= {after}, false)::integer::bigint"
    if settings.holdout_column is not None:
        return f"coalesce(query.{identifier(settings.holdout_column)}::integer, 0)::bigint"
    return "null::bigint"


def _type(expression: str) -> str:
    return expression.rpartition("::")[2]


def _stratum(label: str, target: Column | None, problem_type: ProblemType | None) -> str:
    """Each side of a split is sampled for itself, in it each class; the rows of a regression all together."""
    if problem_type in ("regression", "clustering") or target is None:
        return "split::text"
    value = f"{label}::text"
    if problem_type is None and target.kind == "number":
        few = f"select count(distinct {label}) <= {MAX_NUMERIC_CLASSES} from hashed"
        value = f"case when ({few}) then {label}::text end"
    return f"concat(split, ' ', {value})"


def _bits(digest: str, start: int) -> str:
    return f"('x' || substr({digest}, {start}, 16))::bit(64)::bigint"


def _unit(digest: str) -> str:
    """A number in [0, 1) from the first 48 bits of a hexadecimal digest."""
    return f"(('x' || substr({digest}, 1, 12))::bit(48)::bigint / {2.0**48})"
