"""The check of the new function inside the database, before the publication is committed.

Input: a cursor in the publishing transaction, and the file that `rows` wrote. Output: `ParitySummary`,
or an error that refuses the publication. Runs in dbt's process: nothing but the standard library.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from postgres_ml.contract.column import Column
from postgres_ml.contract.exceptions import ParityError
from postgres_ml.contract.model import FunctionBody, TrainedModel
from postgres_ml.contract.sql_names import identifier
from postgres_ml.snapshot.copy import Cursor
from postgres_ml.verify.encodable import keep_encodable

TOLERANCE = 1e-6  # absolute for probabilities, relative for a regression and for distances
SAMPLE_ROWS = 50  # of each kind
UNESCAPED = {"t": "\t", "n": "\n", "r": "\r"}
TABLE = "pg_temp.postgres_ml_parity"
#: the least number that is too great for a type of whole numbers
LIMITS = {"smallint": "32768", "integer": "2147483648", "bigint": "9223372036854775808"}
MEASURED = ("regression", "anomaly_detection")  # problem types whose prediction is a number
CHECKED = ("expected", "probabilities", "explanation")  # columns behind the features'


@dataclass(frozen=True)
class Predictor:
    """What a comparison needs of a version: as in `TrainedModel`, or read back from the catalog."""

    features: tuple[Column, ...]
    functions: tuple[FunctionBody, ...]
    return_type: str
    problem_type: str


@dataclass(frozen=True)
class ParitySummary:
    """What the check saw.

    Parameters
    ----------
    n_rows : rows compared
    max_difference : greatest difference of a probability, or relative difference of a regression
    n_explained : rows whose SHAP values were compared
    """

    n_rows: int
    max_difference: float
    n_explained: int = 0

    @property
    def message(self) -> str:
        """One line for the log."""
        text = f"parity: {self.n_rows:,} rows agree with the pipeline, within {self.max_difference:.1g}"
        return text + (f"; so do the SHAP values of {self.n_explained}" if self.n_explained else "")


def check_parity(cursor: Cursor, schema: str, version: Predictor, parity_file: Path) -> ParitySummary:
    """Run the functions on the parity rows and compare them with the pipeline's own predictions.

    Parameters
    ----------
    schema : of the functions, unquoted
    parity_file : as `rows.write_rows` wrote it

    Leaves nothing behind: its table is temporary and goes with the transaction, or before.

    Raises
    ------
    ParityError
        A label differs, or a probability, number or SHAP value by more than 1e-6; shows the first such row.
    psycopg2.Error
        A function raises.
    """
    names = [f"a{index}" for index in range(len(version.features))]
    columns = ", ".join(f"{name} text" for name in [*names, *CHECKED])
    cursor.execute(f"create temporary table postgres_ml_parity (n bigserial, {columns}) on commit drop")
    fields = ", ".join([*names, *CHECKED])
    keep_encodable(cursor, parity_file)
    with parity_file.open("rb") as file:
        cursor.copy_expert(f"copy {TABLE} ({fields}) from stdin (encoding 'UTF8')", file)
    cursor.execute(compare_sql(schema, version))
    n_rows, n_different, difference, first = cursor.fetchall()[0]
    if n_different:
        raise ParityError(
            f"the function's prediction differs from the pipeline's in {n_different:,} of {n_rows:,} rows; "
            f"the first: {_describe(cursor, version, names, first)}; nothing was published. "
            "Another runtime in the config computes it another way; --full-refresh trains anew"
        )
    n_explained = _check_explanations(cursor, schema, version, names)
    cursor.execute(f"drop table {TABLE}")
    return ParitySummary(n_rows, difference or 0.0, n_explained)


def _check_explanations(cursor: Cursor, schema: str, version: Predictor, names: list[str]) -> int:
    """Compare the SHAP values of rows that have some, and return how many; 0 where no function explains."""
    explain = _body(version, "explain")
    if explain is None:
        return 0
    cursor.execute(f"""
with called as materialized (
  select n, explanation::jsonb as expected, {_call(schema, explain, version)} -> 'explanations' as got
  from (select * from {TABLE} where explanation is not null offset 0) as explained
), compared as (select n, {_farthest_value("got", "expected")} as difference from called)
select count(*), count(*) filter (where difference > {TOLERANCE}),
  min(n) filter (where difference > {TOLERANCE})
from compared""")
    n_rows, n_different, first = cursor.fetchall()[0]
    if n_different:
        row = _describe(cursor, version, names, first)
        raise ParityError(
            f"the SHAP values of {explain.name} differ from those of the training in {n_different:,} of "
            f"{n_rows:,} rows; the first: {row}; nothing was published"
        )
    return int(n_rows)


def predictor(trained: TrainedModel) -> Predictor:
    """Return what a comparison needs of it."""
    summary = trained.summary
    return Predictor(summary.features, trained.deployed.functions, summary.return_type, summary.problem_type)


def compare_sql(schema: str, trained: Predictor, source: str = TABLE) -> str:
    """Return a query of one row: rows, rows that differ, greatest difference, first row that differs.

    Parameters
    ----------
    source : what the parity rows are selected from
    """
    predict = _body(trained, "predict")
    if predict is not None and predict.columns:
        return _compare_table_sql(schema, predict, source)
    probabilities = _body(trained, "probabilities")
    distances = _body(trained, "distances")
    rule = _body(trained, "is_anomaly")
    bounds = _body(trained, "interval")
    if trained.problem_type in MEASURED:
        differs, difference = _values_differ(trained.return_type)
    else:
        differs, difference = f"got is distinct from expected::{_cast(trained.return_type)}", "0::float8"
    if probabilities is not None:
        difference = f"case when got_p is null and probabilities is null then 0 else {_distance(trained)} end"
        differs = f"({differs}) or {difference} > {TOLERANCE}"
    if distances is not None:
        difference = _farthest("got_p", "probabilities::float8[]")
        first, second = (f"(probabilities::float8[])[{k} + 1]" for k in ("got", "expected::integer"))
        # two centres as far from a row as each other: either is the nearest
        differs = f"({differs}) and {_relative(first, second)} > {TOLERANCE} or {difference} > {TOLERANCE}"
    if rule is not None:
        differs = f"({differs}) or got_p is distinct from probabilities::boolean"
    if bounds is not None:
        further = _farthest_bound()
        difference = f"greatest({difference}, {further})"
        differs = f"({differs}) or {further} > {TOLERANCE}"
    calls = f"{_call(schema, predict, trained)} as got"  # type: ignore[arg-type]  # every program has one
    if probabilities is not None:
        calls += f", {_call(schema, probabilities, trained)} as got_p"
    if rule is not None:
        calls += f", {_call(schema, rule, trained)} as got_p"
    if bounds is not None:
        calls += f", {_call(schema, bounds, trained)} as got_p"
    if distances is not None:
        calls += f", {_call(schema, distances, trained)} as got_p"
    return f"""
with called as materialized (select *, {calls} from {source}),
compared as (select n, {differs} as differs, {difference} as difference from called)
select count(*) as n_rows, count(*) filter (where differs) as n_different, max(difference) as difference,
  min(n) filter (where differs) as first_row
from compared"""


def _compare_table_sql(schema: str, body: FunctionBody, source: str) -> str:
    """Return the query of `compare_sql` for a function that returns a table.

    A parity row holds the argument, and of one row that the call has to return the cells as a JSON array of
    texts. Rows are compared for equality as Postgres writes them; the publication also counts them.
    """
    cells = ", ".join(
        f"(expected::jsonb ->> {index})::{_cast(kind)}" for index, (_, kind) in enumerate(body.columns)
    )
    call = f"{identifier(schema)}.{identifier(body.name)}((select max(a0)::integer from {source}))"
    more = "(select count(*) from got) - count(*)" if source == TABLE else "0"
    return f"""
with wanted as (select n, row({cells})::text as cells from {source}),
got as materialized (select row(f.*)::text as cells from {call} as f),
compared as (
  select w.n, not exists (select from got as g where g.cells = w.cells) as differs from wanted as w
)
select count(*) as n_rows, count(*) filter (where differs) + greatest({more}, 0) as n_different,
  0::float8 as difference, min(n) filter (where differs) as first_row
from compared"""


def parity_sample(path: Path) -> list[list[str | None]]:
    """Return some of the parity rows, cells as text, to check the function with later: ordinary and hostile.

    Raises
    ------
    OSError
        The file can't be read.
    """
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    chosen = lines if len(lines) <= 2 * SAMPLE_ROWS else [*lines[:SAMPLE_ROWS], *lines[-SAMPLE_ROWS:]]
    return [[_cell(text) for text in line.split("\t")] for line in chosen]


def _cell(text: str) -> str | None:
    if text == "\\N":
        return None
    return re.sub(r"\\(.)", lambda match: UNESCAPED.get(match[1], match[1]), text)


def sample_sql(table: str, condition: str, n_features: int) -> str:
    """Return the rows of `parity_sample`, as stored in the column parity_rows, as a table to compare with."""
    names = [*(f"a{index}" for index in range(n_features)), *CHECKED]
    cells = ", ".join(f"r.value ->> {index} as {name}" for index, name in enumerate(names))
    return (
        f"(select r.n, {cells} from {table} as v "
        "cross join lateral jsonb_array_elements(v.parity_rows::jsonb) with ordinality as r(value, n) "
        f"where {condition}) as sample"
    )


def _body(trained: Predictor, role: str) -> FunctionBody | None:
    return next((body for body in trained.functions if body.role == role), None)


def _call(schema: str, body: FunctionBody, trained: Predictor) -> str:
    cells = ", ".join(f"a{i}::{_cast(column.sql_type)}" for i, column in enumerate(trained.features))
    if body.composite:
        cells = f"row({cells})::{body.arguments[0][1]}"
    return f"{identifier(schema)}.{identifier(body.name)}({cells})"


def _cast(sql_type: str) -> str:
    """`character` alone means character(1) in a cast, and would cut the text."""
    return "bpchar" if sql_type == "character" else sql_type


def _values_differ(return_type: str) -> tuple[str, str]:
    """Return the condition under which a predicted number differs, and by how much.

    Numbers are compared after the conversion to the function's type. Of whole numbers those agree that are
    between what the limits of the tolerance are rounded to.
    """
    got, expected = "got::float8", "nullif(expected::float8, 'NaN')"
    if return_type in LIMITS:
        slack = f"least(greatest(abs({expected}),1e-9),1e280)*{TOLERANCE}"
        low, high = (
            f"case when round({end}) >= -{LIMITS[return_type]} and round({end}) < {LIMITS[return_type]} "
            f"then round({end}) end"
            for end in (f"({expected}-{slack})", f"({expected}+{slack})")
        )
        differs = f"""case when {got} is null then ({low}) is not null and ({high}) is not null
    when ({low}) is null and ({high}) is null then true
    else not ({got} between coalesce({low}, {got}) and coalesce({high}, {got})) end"""
        return differs, f"case when {differs} then 'Infinity'::float8 else 0 end"
    if return_type == "real":
        limit = "3.4028235677973366e38"
        great = f"sign({expected}) * 'Infinity'"
        expected = f"case when abs({expected}) >= {limit} then {great} else {expected} end"
    if return_type == "numeric":
        expected = f"nullif(nullif({expected}, 'Infinity'), '-Infinity')"
    return _numbers_differ(got, expected), _relative(got, expected)


def _numbers_differ(got: str, expected: str) -> str:
    return f"""case when {got} is null or {expected} is null then ({got} is null) <> ({expected} is null)
    else {_relative(got, expected)} > {TOLERANCE} end"""


def _relative(got: str, expected: str) -> str:
    """|got - expected| / |expected|, written so that nothing over- or underflows: Postgres would raise."""
    return f"""case when {got} = {expected} or {got} is null or {expected} is null then 0
    when greatest(abs({got}), abs({expected})) <= 1e280 then
      abs({got} - {expected}) / greatest(abs({expected}), 1e-9)
    when greatest(abs({got}), abs({expected})) < 'Infinity'
      and least(abs({got}), abs({expected})) > 1e270 then abs({got} / {expected} - 1)
    else 'Infinity' end"""


def _distance(trained: Predictor) -> str:
    """Greatest difference over the labels; infinite where one side lacks a label or the whole row.

    NaN, where a softmax overflows, is null on both sides.
    """
    label = _cast(trained.return_type)
    return f"""(select coalesce(max(case
      when num_nulls(e.p, g.p) = 2 and num_nulls(e.label, g.label) = 0 then 0
      else coalesce(abs(e.p::float8 - g.p::float8), 'Infinity') end), 'Infinity')
    from jsonb_each_text(probabilities::jsonb) e(label, p) full join rows from (
      jsonb_array_elements_text(got_p->'labels'), jsonb_array_elements_text(got_p->'probabilities')
    ) g(label, p)
    on e.label::{label} = g.label::{label})"""


def _farthest(got: str, expected: str) -> str:
    """Greatest relative difference over the clusters; infinite where one side lacks a distance or the row."""
    return f"""case when {got} is null and {expected} is null then 0
    when {got} is null or {expected} is null then 'Infinity' else
    (select max(case when (g is null) <> (e is null) then 'Infinity' else {_relative("g", "e")} end)
    from rows from (unnest({got}), unnest({expected})) as both_sides(g, e)) end"""


def _farthest_bound() -> str:
    """Greatest difference of a bound, relative to the farther one from 0; infinite where one side has none.

    A bound near 0 is the difference of two large numbers, which agree in so many digits only.
    """
    got, expected = "(got_p ->> side)::float8", "(probabilities::jsonb ->> side)::float8"
    size = "(select max(abs(value::float8)) from jsonb_each_text(probabilities::jsonb))"
    return f"""case when got_p is null and probabilities is null then 0
    when got_p is null or probabilities is null then 'Infinity' else
    (select max(case when {got} = {expected} then 0
        when {size} <= 1e280 and abs({got}) <= 1e280 then abs({got} - {expected}) / greatest({size}, 1e-9)
        when {size} < 'Infinity' and least(abs({got}), abs({expected})) > 1e270
          then abs({got} / {expected} - 1)
        else 'Infinity' end) from unnest(array['lower', 'upper']) as side) end"""


def _farthest_value(got: str, expected: str) -> str:
    """Greatest difference of a SHAP value, relative to the row's greatest; infinite where one is missing."""
    value = "v.value::float8"
    found = f"({got} -> s.key -> 'shap_values' ->> v.key)::float8"
    return f"""(select max(of_set.difference) from jsonb_each({expected}) as s cross join lateral (
    select max(coalesce(abs({value} - {found}), 'Infinity')) / greatest(max(abs({value})), 1e-9) as difference
    from jsonb_each_text(s.value) as v) as of_set)"""


def _describe(cursor: Cursor, version: Predictor, names: list[str], row: int | None) -> str:
    if row is None:  # of a function that returns a table
        return "it returns rows that the training doesn't know"
    cursor.execute(f"select {', '.join(names)}, expected from {TABLE} where n = {int(row)}")
    *values, expected = cursor.fetchall()[0]
    shown: Any = ", ".join(
        f"{c.name} => {value!r}" for c, value in zip(version.features, values, strict=True)
    )
    return f"({shown}), where the pipeline says {expected!r}"
