"""Redshift's statements by postgres_ml.run: what they come to, and errors that point at the word."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg2
import psycopg2.errors
import pytest
from postgres_ml.embedded import ServerAddress
from support.sql_clients import SqlClients, sql_clients

CHURN = """
CREATE MODEL customer_churn_auto_model
FROM (SELECT state, account_length, total_charge/account_length AS average_daily_spend, -- a ) in a comment
             cust_serv_calls/account_length AS average_daily_cases, churn /* ( /* nested */ */
      FROM customer_activity WHERE record_date < '2020-01-01' AND note <> 'a ) b'';' AND "a ) b" = $x$ ) $x$ OR E'\\' )' = '')
TARGET churn FUNCTION ml_fn_customer_churn_auto
IAM_ROLE default
SETTINGS ( S3_BUCKET 'amzn-s3-demo-bucket', MAX_RUNTIME 1800, S3_GARBAGE_COLLECT OFF, MAX_CELLS '5000');
"""
GUIDED = """
create model ml.ecommerce FROM (select * from x) target "Type" function ml.predict_type
iam_role 'arn:aws:iam::0123456789012:role/Redshift-ML' auto on model_type xgboost problem_type multiclass_classification
objective 'accuracy' preprocessors '[{"ColumnSet": ["a"], "Transformers": ["OneHotEncoder"]}]'
settings (s3_bucket 'x', tags 'a=b', kms_key_id 'k')
"""
XGBOOST = """
CREATE MODEL abalone FROM ml.abalone_xgb TARGET rings FUNCTION f IAM_ROLE default AUTO OFF MODEL_TYPE XGBOOST
OBJECTIVE 'multi:softmax' PREPROCESSORS 'none' HYPERPARAMETERS DEFAULT EXCEPT (NUM_ROUND '100', NUM_CLASS '30')
SETTINGS (S3_BUCKET 'b')
"""
KMEANS = """
CREATE MODEL news FROM (SELECT 1) FUNCTION news_clusters IAM_ROLE 'arn' AUTO OFF MODEL_TYPE KMEANS
PREPROCESSORS '[{"ColumnSet": ["*"], "Transformers": ["NumericPassthrough"]}]'
HYPERPARAMETERS DEFAULT EXCEPT (K '7') SETTINGS (S3_BUCKET 'b')
"""
FORECAST = """
CREATE MODEL web_sales FROM (SELECT item, day, sold FROM sales) TARGET sold IAM_ROLE default AUTO ON MODEL_TYPE FORECAST
OBJECTIVE 'AverageWeightedQuantileLoss' SETTINGS (S3_BUCKET 'b', HORIZON 5, FREQUENCY 'D', PERCENTILES '0.25,0.50,mean')
"""
ERRORS = [
    ("CREATE MODEL m\n  FROM (select 1)\n  TARGET y FUNKTION f", 'a clause of CREATE MODEL, found "FUNKTION" at line 3, column 12', "FUNCTION, RETURNS"),
    ("CREATE MODEL", "expected a name, found the end of the statement at line 1, column 13", None),
    ("CREATE MODEL m TARGET y", "expected FROM with a table or a query in parentheses, found the end of the statement", None),
    ("CREATE MODEL m FROM (select 1", "a parenthesis that is not closed at line 1, column 21", None),
    ("CREATE MODEL m FROM (select 'a)", "a quote without an end at line 1, column 29", None),
    ("CREATE MODEL m /* FROM", "a comment without an end at line 1, column 16", None),
    ("CREATE MODEL m FROM ()", 'expected a query, found ")" at line 1, column 22', None),
    ("CREATE MODEL m FROM 'job-name' FUNCTION f(int)", "made elsewhere, which is not published by SQL at line 1, column 16", "`source`"),
    ("CREATE MODEL m FROM 's3://x.tar.gz' FUNCTION f(int)", "made elsewhere", "`source`"),
    ("CREATE MODEL m FUNCTION f (int) RETURNS int SAGEMAKER 'e'", "types follow from the query at line 1, column 27", "`source` or `endpoint`"),
    ("CREATE MODEL m FROM t SAGEMAKER 'e':'m' IAM_ROLE default", "SAGEMAKER is for a model that was made elsewhere", "`endpoint`"),
    ("CREATE EXTERNAL MODEL m", "CREATE EXTERNAL MODEL is not supported at line 1, column 8", "Bedrock"),
    ("CREATE OR REPLACE MODEL m", 'expected MODEL, found "OR" at line 1, column 8', "new version"),
    ("SELECT FORECAST", "expected (model), found the end of the statement at line 1, column 16", None),
    ("SELECT FORECAST(m) FROM x", 'expected the end of the statement, found "FROM" at line 1, column 20', "select * from predict_<model>()"),
    ("CREATE MODEL m FROM t SETTINGS (MAX_BATCH_ROWS 5)", "MAX_BATCH_ROWS is for services", None),
    ("CREATE MODEL m FROM t AUTO MAYBE", 'expected ON, OFF, found "MAYBE" at line 1, column 28', None),
    ("CREATE MODEL m FROM t PROBLEM_TYPE (REGRESSION", "expected ), found the end", None),
    ("CREATE MODEL m FROM t TARGET a TARGET b", "TARGET stands there twice at line 1, column 32", None),
    ("CREATE MODEL m FROM t HYPERPARAMETERS (K '5')", 'expected DEFAULT or DEFAULT EXCEPT (…), found "("', None),
    ("CREATE MODEL m FROM t SETTINGS (MAX_RUNTIME)", 'expected the value of MAX_RUNTIME, found ")" at line 1, column 44', None),
    ("CREATE MODEL m FROM t SETTINGS (MAX_RUNTIME 5 MAX_CELLS 6)", 'expected , or ), found "MAX_CELLS"', None),
    ("DROP MODEL a b", 'expected the end of the statement, found "b" at line 1, column 14', None),
    ("SHOW MODEL", "expected a name, found the end of the statement", None),
    ("DELETE FROM x", "expected CREATE MODEL, SHOW MODEL, DROP MODEL, EXPLAIN_MODEL or SELECT FORECAST(model)", "others go to Postgres"),
    ("", "expected CREATE MODEL", "others go to Postgres"),
]  # fmt: skip


@pytest.fixture(scope="module")
def clients(server: ServerAddress, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqlClients]:
    """Without a worker: jobs wait."""
    with sql_clients(server, tmp_path_factory.mktemp("statements")) as made:
        yield made


def parsed(clients: SqlClients, statement: str) -> dict[str, Any]:
    found: dict[str, Any] = clients.value(
        f"select postgres_ml.parse_statement($statement${statement}$statement$)"
    )
    return found


def rows(clients: SqlClients, statement: str) -> dict[str, str]:
    return dict(
        clients.ask(f"select * from postgres_ml.run($statement${statement}$statement$)", clients.analyst)
    )


def test_statements_come_to_a_name_a_query_and_a_config(clients: SqlClients) -> None:
    churn = parsed(clients, CHURN)
    assert churn["model"] == "customer_churn_auto_model"
    assert churn["query"].startswith("SELECT state,") and churn["query"].endswith("E'\\' )' = ''")
    assert churn["ignored"] == "IAM_ROLE, S3_BUCKET, S3_GARBAGE_COLLECT"
    assert churn["config"] == {
        "target": "churn", "function": "ml_fn_customer_churn_auto", "settings": {"max_runtime": 1800, "max_cells": 5000},
    }  # fmt: skip
    assert parsed(clients, GUIDED)["config"] == {
        "target": "Type", "function": "predict_type", "auto": True, "model_type": "xgboost",
        "problem_type": "multiclass_classification", "objective": "accuracy",
        "preprocessors": '[{"ColumnSet": ["a"], "Transformers": ["OneHotEncoder"]}]',
    }  # fmt: skip
    xgboost = parsed(clients, XGBOOST)
    assert xgboost["query"] == "select * from ml.abalone_xgb"
    assert xgboost["config"] == {
        "target": "rings", "function": "f", "auto": False, "model_type": "xgboost", "objective": "multi:softmax",
        "preprocessors": "none", "hyperparameters": {"num_round": "100", "num_class": "30"},
    }  # fmt: skip
    assert parsed(clients, KMEANS)["config"]["hyperparameters"] == {"k": "7"}
    assert "target" not in parsed(clients, KMEANS)["config"]
    assert parsed(clients, FORECAST)["config"] == {
        "target": "sold", "auto": True, "model_type": "forecast", "objective": "AverageWeightedQuantileLoss",
        "settings": {"horizon": 5, "frequency": "D", "percentiles": "0.25,0.50,mean"},
    }  # fmt: skip
    assert parsed(clients, "SELECT FORECAST(ml.web_sales);") == {
        "command": "forecast",
        "model": "ml.web_sales",
    }
    assert parsed(clients, "SHOW MODEL ALL;") == {"command": "show", "model": "all"}
    assert parsed(clients, 'drop model if exists "A b".x') == {
        "command": "drop",
        "model": '"A b".x',
        "if_exists": True,
    }
    for text in ("SELECT EXPLAIN_MODEL('ml.x');", "explain_model('ml.x')", "EXPLAIN MODEL ml.x"):
        assert parsed(clients, text) == {"command": "explain", "model": "ml.x"}


@pytest.mark.parametrize(("statement", "message", "hint"), ERRORS)
def test_an_error_points_at_the_word(
    clients: SqlClients, statement: str, message: str, hint: str | None
) -> None:
    with pytest.raises(psycopg2.errors.SyntaxError) as caught:
        rows(clients, statement)
    diagnosis = caught.value.diag
    assert message in diagnosis.message_primary
    assert (diagnosis.message_hint is None) if hint is None else (hint in diagnosis.message_hint)
    *_, line, caret = diagnosis.message_detail.split("\n")
    assert caret.strip() == "^" and len(caret) <= len(line) + 1
    if "FUNKTION" in statement:
        assert line[caret.index("^") :].startswith("FUNKTION")


def test_a_statement_is_a_call(clients: SqlClients) -> None:
    statement = "CREATE MODEL ml.by_statement FROM ml.measurements TARGET y FUNCTION f IAM_ROLE default SETTINGS (S3_BUCKET 'b', MAX_CELLS 100)"
    said = rows(clients, statement)
    assert said.pop("Job").isdigit()
    assert said == {
        "Model Name": "by_statement",
        "Schema Name": "ml",
        "Model State": "TRAINING",
        "Function Name": "f",
    }
    [(query, config, n_rows, n_rows_query)] = clients.ask(
        "select query, config, n_rows, n_rows_query from postgres_ml.job"
    )
    assert (query, n_rows, n_rows_query) == ("select * from ml.measurements", 50, 600)
    assert config == json.loads('{"target": "y", "function": "f", "settings": {"max_cells": 100}}')
    assert rows(clients, "DROP MODEL ml.by_statement")["Model State"] == "DROPPING"
    assert clients.ask("select state from postgres_ml.job order by job") == [("CANCELLED",), ("TRAINING",)]
    assert rows(clients, "DROP MODEL IF EXISTS ml.nothing") == {
        "Model Name": "ml.nothing",
        "Model State": "DOES NOT EXIST",
    }
    with pytest.raises(psycopg2.Error, match="does not exist"):
        rows(clients, "DROP MODEL ml.nothing")
    with pytest.raises(psycopg2.errors.FeatureNotSupported, match="in the model's schema"):
        rows(clients, "CREATE MODEL ml.x FROM ml.measurements TARGET y FUNCTION public.f")
    assert rows(clients, "SHOW MODEL ALL") == {"Schema Name": "Model Name"}


def test_a_functions_schema_is_the_models(clients: SqlClients) -> None:
    """Whatever the search_path is."""
    assert parsed(clients, "CREATE MODEL x FROM t TARGET y FUNCTION ml.f")["model"] == "ml.x"
    assert parsed(clients, 'CREATE MODEL x FROM t TARGET y FUNCTION "M L".f')["model"] == '"M L".x'
    assert parsed(clients, "CREATE MODEL x FROM t TARGET y FUNCTION f")["model"] == "x"
    assert parsed(clients, "CREATE MODEL ml.x FROM t TARGET y FUNCTION ml.f")["model"] == "ml.x"


def test_words_are_read_whole_however_long_they_are(clients: SqlClients) -> None:
    """The parser looks at a part of the statement at a time: of each length one ends where a part does."""
    for length in (*range(118, 132), 1019, 1024, 1029, 9000):
        filler = "ab" * (length // 2) + "c" * (length % 2)
        for text, value in (
            (f"'{filler}''{filler}'", f"{filler}'{filler}"),
            (f"'{filler[1:]}'''", f"{filler[1:]}'"),
            (f'"{filler}"""', f'{filler}"'),
            (f"$x$ {filler} $ {filler}$x$", f" {filler} $ {filler}"),
            (rf"E'{filler}\'''\\'", rf"E'{filler}\'''\\'"),
            (filler, filler),
            (f"1{'0' * length}e+5", f"1{'0' * length}e+5"),
        ):
            with closing(clients.connect()) as connection, connection.cursor() as cursor:
                statement = f"x /*{filler}/*{filler}*/*/ {text} y"
                cursor.execute("select value from unnest(postgres_ml.tokens_of(%s))", (statement,))
                assert [found for (found,) in cursor.fetchall()] == ["x", value, "y", ""], text


def test_semicolons_and_what_is_said_after_them_end_a_query(clients: SqlClients) -> None:
    whole = "select a, ';' as b, y from ml.measurements -- all; of them\n"
    for end in ("", ";", " ; ;", ";\n-- the end", "; /* the; end */ -- of it"):
        job = clients.create("ml.ended", whole + end, '{"target": "y"}')
        [(query, n_rows)] = clients.ask(f"select query, n_rows from postgres_ml.job where job = {job}")
        assert query.startswith("select a, ';' as b, y from ml.measurements") and n_rows == 600
    for nothing in (";", ";; -- nothing"):
        with pytest.raises(psycopg2.Error, match=r'there is no query to train model "ml\.ended" on'):
            clients.create("ml.ended", nothing)


def test_no_statement_and_no_name_are_errors_with_a_cure(clients: SqlClients) -> None:
    for call, message in (
        ("run(null)", "expected CREATE MODEL, SHOW MODEL"),
        ("drop_model('a b')", '"a b" is no model\'s name'),
        ("rollback_model('a b')", '"a b" is no model\'s name'),
        ("drop_model(null)", '"<NULL>" is no model\'s name'),
    ):
        with pytest.raises(psycopg2.Error) as caught:
            clients.ask(f"select * from postgres_ml.{call}", clients.analyst)
        assert message in caught.value.diag.message_primary and caught.value.diag.message_hint


def test_a_sample_is_reproducible_and_keeps_every_class(clients: SqlClients) -> None:
    """Of 3,000 rows about 333 are kept: rare classes whole, the others in proportion; equal rows are thinned."""
    query = """
        select i % 7 as a, case when i <= 3 then 'rare' when i % 10 = 0 then 'some' else 'many' end as y, i / 2 as b
        from generate_series(1, 3000) as i
    """
    samples = []
    for zone in ("UTC", "Asia/Tokyo"):
        config = json.dumps({"target": "y", "settings": {"max_cells": 999}})
        text = f"set timezone = '{zone}'; select postgres_ml.create_model('ml.sampled', $q${query}$q$, '{config}')"
        job = clients.value(text, clients.analyst)
        samples.append(
            clients.ask(f"select a, y, b from postgres_ml.rows_{job} order by 3, 1, 2", clients.worker)
        )
    assert samples[0] == samples[1]
    counts = {label: sum(row[1] == label for row in samples[0]) for label in ("rare", "some", "many")}
    assert counts["rare"] == 3 and 50 <= counts["some"] < 80 and 245 < counts["many"] < 285
    assert 325 <= len(samples[0]) <= 333


def test_values_are_handed_over_exactly(clients: SqlClients) -> None:
    """In the query's own types; a domain is its base type."""
    clients.ask(
        "create type ml.mood as enum ('low', 'high'); create domain ml.count as bigint check (value > 0)"
    )
    query = """
        select 9007199254740993 as a, 12345678901234567890.123456789012345678::numeric(38, 18) as b,
            timestamptz 'infinity' as c, 'high'::ml.mood as d, 'NaN'::real as e, 'x'::char(3) as f, time '23:59:59.999999' as g,
            date '0001-01-01 BC' as h, 5::ml.count as i, null::varchar(9) as y
    """
    job = clients.create("ml.exact", query, "{}")
    [found] = clients.ask(f"select r::text from postgres_ml.rows_{job} as r", clients.worker)
    [given] = clients.ask(f"select r::text from ({query}) as r")
    assert found == given
    types = clients.ask(f"""
        select format_type(atttypid, atttypmod) from pg_attribute
        where attrelid = 'postgres_ml.rows_{job}'::regclass and attnum > 0 order by attnum
    """)
    assert [kind for (kind,) in types] == [
        "bigint", "numeric", "timestamp with time zone", "ml.mood", "real", "bpchar", "time without time zone", "date",
        "bigint", "character varying",
    ]  # fmt: skip
