"""Models that were fitted on other frames than ours, published: what NULL is, what they refuse, what they return."""

from __future__ import annotations

from pathlib import Path

import joblib
import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost
from dbt.tests.util import run_dbt_and_capture
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder

ROW = np.arange(600)
CAT = pd.Series(np.array(["a", "b", None], dtype=object)[ROW % 3], dtype=object)
AMT = ROW % 7 / 100.0
TARGET = AMT + 100.0 * (ROW % 3 == 2) + 10.0 * (ROW % 3 == 1)
ASKED = ("a", "b", None, "zzz", "")
ARGUMENTS = ", arguments='cat text, amt float8'"
NUMBERS = ", arguments='amt float8, calls float8'"
PYTHON_MODEL = """
def model(dbt, session):
    dbt.config(materialized="create_model", target="y", problem_type="regression")
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    rows = dbt.ref("rows").astype({"cat": "category"})
    filled = make_pipeline(
        SimpleImputer(strategy="constant", fill_value="missing"), OneHotEncoder(handle_unknown="ignore")
    )
    columns = ColumnTransformer([("cat", filled, ["cat"]), ("amt", "passthrough", ["amt"])])
    return make_pipeline(columns, Ridge(1e-6)).fit(rows[["cat", "amt"]], rows["y"])
"""
ROWS = """
{{ config(materialized='table') }}
select (array['a', 'b', null])[1 + i % 3] as cat, (i % 7) / 100.0::float8 as amt,
    (i % 7) / 100.0::float8 + 100 * (i % 3 = 2)::int + 10 * (i % 3 = 1)::int as y
from generate_series(0, 899) as i
"""


def pipeline() -> Pipeline:
    filled = make_pipeline(
        SimpleImputer(strategy="constant", fill_value="missing"), OneHotEncoder(handle_unknown="ignore")
    )
    columns = ColumnTransformer([("cat", filled, ["cat"]), ("amt", "passthrough", ["amt"])])
    return make_pipeline(columns, Ridge(1e-6))


def frame(dtype: str) -> pd.DataFrame:
    return pd.DataFrame({"cat": CAT.astype(dtype), "amt": AMT})


def numbers() -> pd.DataFrame:
    return pd.DataFrame({"amt": AMT, "calls": (ROW % 13).astype(float)})


def config(source: str, more: str = "", query: str = "-- none") -> str:
    return f"{{{{ config(materialized='create_model', source='{source}'{more}) }}}}\n{query}"


def write_models(root: Path) -> None:
    fitted = {dtype: pipeline().fit(frame(dtype), TARGET) for dtype in ("str", "category")}
    for dtype, model in fitted.items():
        joblib.dump(model, root / f"{dtype}.joblib")
    two = (ROW % 13 > 6).astype(int)
    booster = xgboost.train({"objective": "binary:logistic"}, xgboost.DMatrix(numbers(), two), 4)
    booster.save_model(root / "booster.json")
    joblib.dump(booster, root / "booster.pkl")
    light = lightgbm.train({"objective": "binary", "verbose": -1}, lightgbm.Dataset(numbers(), two), 4)
    light.save_model(root / "light.txt")
    joblib.dump(make_pipeline(Ridge()).fit(numbers(), 12.5 * numbers()["calls"]), root / "ridge.joblib")
    joblib.dump(make_pipeline(Ridge()).fit(numbers(), 1e9 * numbers()["calls"]), root / "huge.joblib")
    joblib.dump(
        make_pipeline(LogisticRegression()).fit(numbers(), two.astype(float)), root / "logistic.joblib"
    )
    joblib.dump(
        make_pipeline(LogisticRegression()).fit(numbers(), np.where(two, "yes", "no")), root / "words.joblib"
    )
    coded = xgboost.XGBRegressor(n_estimators=5, enable_categorical=True)
    coded.fit(frame("category").rename(columns={"cat": "amt", "amt": "calls"}), TARGET)
    coded.save_model(root / "coded.json")


RETURNED = ("smallint", "integer", "bigint", "numeric(10,2)", "real", "double precision")


class TestFrames:
    @pytest.fixture(scope="class")
    def models(self):
        whole = {
            f"ridge_{number}.sql": config("ridge.joblib", f"{NUMBERS}, returns='{returns}'")
            for number, returns in enumerate(RETURNED)
        }
        return whole | {
            "rows.sql": ROWS,
            "own_code.py": PYTHON_MODEL,
            "of_str.sql": config("str.joblib", ARGUMENTS),
            "of_category.sql": config("category.joblib", ARGUMENTS, "select cat, amt from {{ ref('rows') }}"),
            "probability.sql": config("booster.json", f"{NUMBERS}, returns='double precision'"),
            "pickled.sql": config("booster.pkl", NUMBERS),
            "label.sql": config("booster.json", f"{NUMBERS}, returns='boolean'"),
            "light.sql": config("light.txt", NUMBERS),
            "light_label.sql": config("light.txt", f"{NUMBERS}, returns='text'"),
            "logistic.sql": config("logistic.joblib", f"{NUMBERS}, returns='integer'"),
            "words.sql": config("words.joblib", f"{NUMBERS}, returns='boolean'"),
            # refused, each with one error
            "huge.sql": config("huge.joblib", f"{NUMBERS}, returns='integer'", "select amt * 100 as amt, 50 + amt as calls from {{ ref('rows') }}"),
            "no_number.sql": config("ridge.joblib", f"{NUMBERS}, returns='text'"),
            "no_labels.sql": config("words.joblib", f"{NUMBERS}, returns='integer'"),
            "coded.sql": config("coded.json", NUMBERS),
        }  # fmt: skip

    @pytest.fixture(scope="class")
    def built(self, project):
        write_models(Path(project.project_root))
        results, output = run_dbt_and_capture(["build"], expect_pass=False)
        return {result.node.name: str(result.status) for result in results}, " ".join(output.split())

    @pytest.fixture
    def ask(self, built, project, connection):
        def run(function, cells, types):
            values = ", ".join(f"{cell}::{kind}" for cell, kind in zip(("%s", "%s"), types, strict=True))
            found = []
            with connection.cursor() as cursor:
                for row in cells:
                    cursor.execute(f'select "{project.test_schema}".predict_{function}({values})', row)
                    found.append(cursor.fetchone()[0])
            return found

        return run

    def test_all_that_can_be_is_built(self, built):
        refused = {"huge", "no_number", "no_labels", "coded"}
        assert {name for name, status in built[0].items() if status == "error"} == refused, built[1]

    def test_null_is_what_the_pipeline_calls_missing(self, ask):
        cells = [(value, 0.0) for value in ASKED]
        for name, dtype in (("of_str", "str"), ("of_category", "category"), ("own_code", "category")):
            asked = pd.DataFrame({"cat": pd.Series(ASKED, dtype=object).astype(dtype), "amt": 0.0})
            expected = pipeline().fit(frame(dtype), TARGET).predict(asked)
            np.testing.assert_allclose(ask(name, cells, ("text", "float8")), expected, rtol=1e-4, atol=1e-2)

    def test_a_booster_gives_what_it_predicts_or_labels(self, built, project, ask):
        rows = numbers().head(40)
        cells = rows.to_numpy().tolist()
        root = Path(project.project_root)
        likely = xgboost.Booster(model_file=root / "booster.json").predict(xgboost.DMatrix(rows))
        for name in ("probability", "pickled"):
            np.testing.assert_allclose(ask(name, cells, ("float8", "float8")), likely, rtol=1e-6)
        assert ask("label", cells, ("float8", "float8")) == (likely > 0.5).tolist()
        light = lightgbm.Booster(model_file=root / "light.txt").predict(rows)
        np.testing.assert_allclose(ask("light", cells, ("float8", "float8")), light, rtol=1e-9)
        assert ask("light_label", cells, ("float8", "float8")) == [str(int(p > 0.5)) for p in light]

    def test_numbers_are_rounded_as_postgres_casts(self, built, project, ask, connection):
        model = joblib.load(Path(project.project_root) / "ridge.joblib")
        cells = [*numbers().head(40).to_numpy().tolist(), [0.0, 1e300], [0.0, -1e300], [float("nan"), 1.0]]
        plain = model.predict(pd.DataFrame(cells[:40], columns=["amt", "calls"]))
        for number, returns in enumerate(RETURNED):
            found = ask(f"ridge_{number}", cells, ("float8", "float8"))
            if number < 3:
                assert found[:40] == np.rint(plain).astype(int).tolist()
                assert found[40:] == [None, None, None], returns
            else:
                np.testing.assert_allclose(np.array(found[:40], float), plain, rtol=1e-6)
                assert found[42] is None
        with connection.cursor() as cursor:
            cursor.execute(f'select pg_typeof("{project.test_schema}".predict_ridge_3(1, 2))::text')
            assert cursor.fetchone() == ("numeric",)

    def test_labels_are_converted(self, project, ask):
        rows = numbers().head(40)
        cells = rows.to_numpy().tolist()
        root = Path(project.project_root)
        expected = joblib.load(root / "logistic.joblib").predict(rows).astype(int).tolist()
        assert ask("logistic", cells, ("float8", "float8")) == expected
        expected = (joblib.load(root / "words.joblib").predict(rows) == "yes").tolist()
        assert ask("words", cells, ("float8", "float8")) == expected

    def test_what_is_refused_says_why(self, built):
        for text in (
            "returns: integer is too small for 900 of 900 predictions",
            "returns: text is no type of a number, which is what the model predicts",
            "returns: integer is no type of the labels 'no', 'yes'",
            "rows that it should predict",
        ):
            assert text in built[1]
