"""Every type that a feature or a target may have, through a whole build, on both runtimes."""

from __future__ import annotations

import pytest
from dbt.tests.util import run_dbt, run_dbt_and_capture
from support.native_server import plmodel, server

__all__ = ["plmodel", "server"]

EVERYTHING = """
{{ config(materialized='table') }}
select
    (i % 40)::smallint as a_smallint, i % 7 as an_integer, (i % 11)::bigint * 10000000000 as a_bigint,
    (i % 100) / 3.0::numeric as a_numeric, (i % 13)::real / 7 as a_real, sin(i) as a_double,
    i % 3 = 0 as a_boolean, ('c' || i % 4)::char(5) as a_char, ('v' || i % 5)::varchar(9) as a_varchar,
    case when i % 17 > 0 then 't ' || i % 6 end as a_text,
    case i % 50 when 0 then 'infinity'::date when 1 then '0044-03-15 BC' when 2 then '12345-06-07' when 3 then null
        else '2020-01-01'::date + i end as a_date,
    case i % 50 when 0 then '24:00'::time when 1 then null else time '00:00:00.25' + i * interval '97 seconds' end as a_time,
    case i % 50 when 0 then null when 1 then '23:30-05'::timetz when 2 then '00:10+09:30'::timetz
        else (time '00:00' + i * interval '101 seconds')::time at time zone 'UTC' end as a_timetz,
    case i % 50 when 0 then '-infinity'::timestamp when 1 then null
        else timestamp '2019-12-31 23:59:59.999999' + i * interval '7 hours' end as a_timestamp,
    case i % 50 when 0 then 'infinity'::timestamptz when 1 then null when 2 then '1900-01-01 00:00+02'
        else timestamptz '2020-02-29 00:00+00' + i * interval '11 hours' end as a_timestamptz,
    (array['low', 'mid "x"', 'it''s high'])[1 + i % 3]::{schema}."mood é" as an_enum
from generate_series(1, 900) as i
"""
COLUMNS = [
    "a_smallint", "an_integer", "a_bigint", "a_numeric", "a_real", "a_double", "a_boolean", "a_char", "a_varchar",
    "a_text", "a_date", "a_time", "a_timetz", "a_timestamp", "a_timestamptz", "an_enum",
]  # fmt: skip
MODEL = """
{{{{ config(materialized='create_model', target='{target}', auto=false, model_type='{model_type}', runtime='{runtime}') }}}}
select {columns}, {expression} as {target} from {{{{ ref('everything') }}}}
"""
YES_NO = "case when an_enum = 'low' or extract(hour from a_timestamp) > 12 then 'yes' else 'no' end::char(3)"
GERMAN = "case when extract(year from a_date) > 2020 then 'läuft' else 'it''s' end::varchar(8)"
MONTH = "coalesce(extract(month from a_date) + extract(hour from a_timestamptz) / 100, 0)::float8"


def model(target, model_type, runtime, expression, leave_out=()):
    columns = ", ".join(name for name in COLUMNS if name not in leave_out)
    return MODEL.format(
        target=target, model_type=model_type, runtime=runtime, columns=columns, expression=expression
    )


class TestEveryType:
    @pytest.fixture(scope="class", autouse=True)
    def enum(self, project, plmodel):
        project.run_sql("""create type {schema}."mood é" as enum ('low', 'mid "x"', 'it''s high')""")

    @pytest.fixture(scope="class")
    def models(self):
        return {
            "everything.sql": EVERYTHING.replace("{schema}", "{{ target.schema }}"),
            "by_sql.sql": model("y", "xgboost", "sql", YES_NO),
            "by_native.sql": model("y", "xgboost", "native", GERMAN),
            "linear_sql.sql": model("y", "linear_learner", "sql", "an_enum", leave_out=("an_enum",)),
            "linear_native.sql": model("y", "linear_learner", "native", MONTH),
            "scored.sql": "select "
            + ", ".join(
                f"{{{{ predict('{name}', alias='e') }}}} as {name}"
                for name in ("by_sql", "by_native", "linear_sql", "linear_native")
            )
            + " from {{ ref('everything') }} as e",
        }

    def test_every_type_is_a_feature_and_every_label_comes_back(self, project):
        results, log = run_dbt_and_capture(["build"])
        assert {result.status for result in results} == {"success"}
        assert log.count("rows agree with the pipeline") == 4
        found = project.run_sql(
            "select format_type(prorettype, null), pg_get_function_identity_arguments(oid) from pg_proc "
            "where pronamespace = '{schema}'::regnamespace and proname ~ '^predict_(by|linear)_[a-z]+$' and proargtypes::text <> '3802' "
            "order by proname",
            fetch="all",
        )
        schema = project.test_schema
        assert [returns for returns, _ in found] == [
            "character varying", "character", "double precision", f'{schema}."mood é"',
        ]  # fmt: skip
        for type_name in (
            "a_date date", "a_time time without time zone", "a_timetz time with time zone",
            "a_timestamp timestamp without time zone", "a_timestamptz timestamp with time zone",
            f'an_enum {schema}."mood é"', "a_char text", "a_varchar text", "a_smallint double precision", "a_bigint double precision", "a_numeric double precision",
            "a_real double precision", "a_boolean boolean",
        ):  # fmt: skip
            assert type_name in found[0][1]
        assert project.run_sql("select count(*) from {schema}.scored where by_sql is null", fetch="one") == (
            0,
        )

    def test_predictions_do_not_depend_on_the_session(self, project):
        calls = ", ".join(
            f"{{schema}}.predict_{name}({', '.join(COLUMNS)})"
            for name in ("by_sql", "by_native", "linear_native")
        )
        query = f"select array_agg(row({calls})::text) from {{schema}}.everything"
        answers = [
            project.run_sql(f"{settings}; {query}", fetch="one")
            for settings in (
                "set timezone = 'UTC'",
                "set timezone = 'Asia/Kolkata'; set datestyle = 'SQL, DMY'",
            )
        ]
        different = [pair for pair in zip(answers[0][0], answers[1][0], strict=True) if pair[0] != pair[1]]
        assert different == []


class TestDatesAsTargets:
    @pytest.fixture(scope="class")
    def models(self):
        return {
            "m.sql": "{{ config(materialized='create_model', target='y') }} select i, now()::date + i as y from generate_series(1, 600) i"
        }

    def test_are_refused(self, project):
        (result,) = run_dbt(["build"], expect_pass=False)
        assert 'target "y" is of type date' in result.message
        assert 'extract(epoch from "y")' in result.message
