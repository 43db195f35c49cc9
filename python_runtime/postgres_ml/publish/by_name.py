"""`<function>(features jsonb)`: the features by name, for rows, web APIs and drivers.

Input: a version's functions. Output: an overload of each that users call, in plpgsql, which reads the keys
and calls the function itself; so it answers the same in every runtime. Made at each publication and not
stored: versions of earlier releases get it too. Runs in dbt's process: nothing but the standard library.

Exactness: a number of JSON is read as Postgres casts its digits to the argument's type, a date or time in
ISO's form whatever DateStyle and TimeZone are. NaN and the infinities are texts, as to_jsonb() writes them.
"""

from __future__ import annotations

from collections.abc import Iterable

from postgres_ml.contract.column import STRINGS
from postgres_ml.contract.model import FunctionBody
from postgres_ml.contract.sql_names import identifier, text, type_name

NUMBERS = frozenset({"smallint", "integer", "bigint", "numeric", "real", "double precision"})
#: names as format_type() gives them; patterns without backslashes, which a session's setting may read twice
DAY = "[0-9]{4,7}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
CLOCK = "([01][0-9]|2[0-4]):[0-5][0-9](:([0-5][0-9]|60)([.][0-9]+)?)?"
ZONE, ENDLESS = "([+-][0-9]{2}(:?[0-9]{2}){0,2}|Z)", "|-?infinity"
MOMENTS = {
    "date": (f"{DAY}( BC)?{ENDLESS}", "a date such as 2024-02-29"),
    "time without time zone": (CLOCK, "a time such as 12:30:00"),
    "time with time zone": (CLOCK + ZONE, "a time with its zone, such as 12:30:00+00"),
    "timestamp without time zone": (
        f"{DAY}([T ]{CLOCK})?( BC)?{ENDLESS}",
        "a timestamp without a zone, such as 2024-02-29T12:30:00",
    ),
    "timestamp with time zone": (
        f"{DAY}[T ]{CLOCK}{ZONE}( BC)?{ENDLESS}",
        "a timestamp with its zone, such as 2024-02-29T12:30:00Z",
    ),
}
FIELD, AS_TEXT = "pg_catalog.jsonb_object_field", "pg_catalog.jsonb_object_field_text"  # -> and ->>
#: what has a value in single precision; the cast raises for others, which no column of type real has
SINGLES = (("-3.4028235e38", "-1e-44"), ("1e-44", "3.4028235e38"))
CALLED = ("predict", "probabilities", "distances", "is_anomaly", "interval", "explain")


def by_name(functions: Iterable[FunctionBody], schema: str) -> tuple[FunctionBody, ...]:
    """Return the overloads; none for a function of one feature that isn't a text.

    There Postgres couldn't tell which of the two predict_x(null) or predict_x('1') means.

    Parameters
    ----------
    schema : of the functions, unquoted
    """
    called = [body for body in functions if body.role in CALLED and not body.columns]
    return tuple(_overload(body, schema) for body in called if _is_distinct(body))


def _is_distinct(body: FunctionBody) -> bool:
    return bool(body.composite) or len(body.arguments) > 1 or body.arguments[0][1] in STRINGS


def _overload(body: FunctionBody, schema: str) -> FunctionBody:
    features = body.composite or body.arguments
    name = f"{identifier(schema)}.{identifier(body.name)}"
    call = ",\n".join(_value(key, sql_type, body) for key, sql_type in features)
    if body.composite:
        call = f"row({call})::{body.arguments[0][1]}"
    checks = "\n".join(_check(key, sql_type) for key, sql_type in features)
    found = f"pg_catalog.left({FIELD}($1,wrong[1])::pg_catalog.text,100)"
    raised = "raise exception using errcode='datatype_mismatch',message="
    shown = text(f"{schema}.{body.name}")
    written = (
        "declare\nwrong pg_catalog.text[];\nbegin\n"
        "if pg_catalog.jsonb_typeof($1)<>'object' then\n"
        f"{raised}pg_catalog.format('%s takes a JSON object of features, found %s',{shown},"
        "pg_catalog.left($1::pg_catalog.text,100));\nend if;\n"
        f"wrong:=case\n{checks}\nend;\n"
        "if wrong is not null then\n"
        f"""{raised}pg_catalog.format('%s: the key "%s" takes %s, found %s',\n"""
        f"{shown},wrong[1],wrong[2],{found});\n"
        f"end if;\nreturn {name}({call});\nend"
    )
    options = body.options.partition(" security definer")[0]
    return FunctionBody(
        "by_name", body.name, (("features", "jsonb"),), body.returns, "plpgsql", written, options=options
    )


def _value(key: str, sql_type: str, body: FunctionBody) -> str:
    """Return the key's value as the argument: SQL's NULL where it is missing or JSON's null.

    JSON has 0.1 for a real that is 0.100000001490116 as a double, which is what the model has learned.
    """
    found = f"{AS_TEXT}($1,{text(key)})"
    if key in body.padded:
        return f"pg_catalog.rtrim({found},' ')"
    if key in body.singles:
        double = f"{found}::double precision"
        within = " or ".join(f"{double} between '{low}' and '{high}'" for low, high in SINGLES)
        return f"case when {within} then {double}::real::double precision else {double} end"
    return found if sql_type == "text" else f"{found}::{type_name(sql_type)}"


def _check(key: str, sql_type: str) -> str:
    """Return a branch of the CASE that names a key of a wrong type; NULL, of a missing one, is none."""
    value, as_text = (f"{function}($1,{text(key)})" for function in (FIELD, AS_TEXT))
    kind, expected, more = "string", "a text", ""
    if sql_type in NUMBERS:
        kind, expected = "number", "a number"
        more = f" and {as_text} not in ('NaN','Infinity','-Infinity')"
    elif sql_type == "boolean":
        kind, expected = "boolean", "true or false"
    elif sql_type in MOMENTS:
        pattern, expected = MOMENTS[sql_type]
        more = f" or {as_text}!~'^({pattern})$'"
    elif sql_type not in STRINGS:
        expected = f"a label of the type {sql_type}"
        labels = f"pg_catalog.enum_range(null::{sql_type})::pg_catalog.text[]"
        more = f" or {as_text}<>all({labels})"
    is_wrong = f"pg_catalog.jsonb_typeof({value}) not in ('{kind}','null'){more}"
    return f"when {is_wrong} then array[{text(key)},{text(expected)}]"
