"""Arguments that are no doubles as doubles: numeric, and calendar parts of dates and times."""

from __future__ import annotations

from postgres_ml.generate.literals import DOUBLE
from postgres_ml.program.program import Input

_PARTS = {
    "quarter": "quarter", "month": "month", "day": "day", "day_of_year": "doy", "hour": "hour",
    "minute": "minute",
}  # fmt: skip


def read_numeric(argument: str) -> str:
    """Return a numeric as a double. The plain cast raises beyond the largest and below the least double."""
    return (
        f"case when pg_catalog.scale({argument})<=300 and {argument}<='1e300' and {argument}>='-1e300' "
        f"then {argument}::{DOUBLE} when {argument}='NaN' then null "
        f"when pg_catalog.abs({argument})<='2.4703282292062327e-324' then '0' "
        f"when {argument}>='1.797693134862315808e308' then 'Infinity' "
        f"when {argument}<='-1.797693134862315808e308' then '-Infinity' else {argument}::{DOUBLE} end"
    )


def read_part(part: str, item: Input, argument: str) -> str:
    """Return a calendar part as a double; infinite dates are NULL, and dates too late for a timestamp."""
    moment, condition = argument, f"pg_catalog.isfinite({argument})"
    if item.kind == "timestamptz":
        moment = f"pg_catalog.timezone('UTC',{argument})"
    elif item.kind == "date":
        moment = f"{argument}::timestamp without time zone"
        condition += f" and {argument}<pg_catalog.make_date(294277,1,1)"
    elif item.kind == "time":
        condition = ""
        if item.sql_type == "time with time zone":
            if part == "epoch":
                return _seconds_in_utc(argument)
            moment = f"pg_catalog.timezone('0'::interval,{argument})"
    value = _part(part, moment)
    if item.sql_type == "time without time zone" and part == "hour":  # 24:00 is the next day's midnight
        return f"case when {argument}<'24:00' then {value} when {argument} is not null then '0' end"
    return f"case when {condition} then {value} end" if condition else value


def _seconds_in_utc(argument: str) -> str:
    """Return a time with time zone in seconds, rounded once: Postgres's own is a fraction less the zone."""
    micros = f"pg_catalog.round(pg_catalog.date_part('epoch',{argument}::time without time zone)*'1000000')"
    return f"({micros}-pg_catalog.date_part('timezone',{argument})*'1000000')/'1000000'"


def _part(part: str, moment: str) -> str:
    if part == "weekday":
        return f"pg_catalog.date_part('isodow',{moment})-'1'"
    if part == "second":
        return f"pg_catalog.floor(pg_catalog.date_part('second',{moment}))"
    if part == "year":  # Postgres has no year 0, the year before 1 is -1
        year = f"pg_catalog.date_part('year',{moment})"
        return f"{year}+case when {year}<'0' then '1' else '0'::{DOUBLE} end"
    return f"pg_catalog.date_part('{_PARTS.get(part, part)}',{moment})"
