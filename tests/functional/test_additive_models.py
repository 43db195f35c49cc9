"""An additive model and its scorecard, through a model's whole life in a project."""

import json

import pytest
from dbt.tests.util import run_dbt
from support.selecting import selector

N_ROWS = 1500
LOANS = f"""
{{{{ config(materialized='table') }}}}
select
    i as id, age, income, home,
    (age < 30)::int + (home = 'rent')::int + (home = 'rent' and income < 2000)::int * 2
        + (hashtext('e' || i) % 1000) / 1000.0 > 1.2 as is_bad,
    income * 3 + age as amount
from (
    select i, 18 + abs(hashtext('a' || i)) % 50 as age,
        case when i % 20 = 0 then null else 1000 + abs(hashtext('m' || i)) % 4000 end::float8 as income,
        (array['own', 'rent', 'O''Brien''s', null])[1 + abs(hashtext('h' || i)) % 4] as home
    from generate_series(1, {N_ROWS}) as i
) as drawn
"""
RISK = """
{{ config(materialized='create_model', target='is_bad', model_type='additive', explain=true, runtime='sql',
    hyperparameters={'interactions': 2, 'max_bins': 16, 'outer_bags': 2, 'max_rounds': env_var('ROUNDS', '200'),
                     'monotone_constraints': {'income': -1}},
    grants={'execute': ['pg_monitor']}) }}
select age, income, home, is_bad from {{ ref('loans') }}
"""
AMOUNT = """
{{ config(materialized='create_model', target='amount', model_type='additive', interval=0.9, weight='age', runtime='auto',
    hyperparameters={'interactions': 0, 'max_rounds': 100, 'outer_bags': 1}) }}
select age, income, home, amount from {{ ref('loans') }} where income is not null
"""
HOME = """
{{ config(materialized='create_model', target='home', model_type='additive', runtime='sql',
    hyperparameters={'max_rounds': 20, 'outer_bags': 1, 'max_bins': 8}) }}
select age, income, is_bad, home from {{ ref('loans') }} where home is not null
"""
SCHEMA = """
models:
  - name: risk
    data_tests: [prediction_parity]
"""
SCORED = """
select l.*, {{ predict('risk') }} as predicted, {{ predict('risk', version=1) }} as pinned,
    {{ predict_probabilities('risk') }} as probabilities, {{ predict_interval('amount') }} as bounds
from {{ ref('loans') }} as l
"""


class TestAdditiveModels:
    @pytest.fixture(scope="class")
    def models(self):
        return {
            "loans.sql": LOANS,
            "risk.sql": RISK,
            "amount.sql": AMOUNT,
            "home.sql": HOME,
            "schema.yml": SCHEMA,
            "scored.sql": SCORED,
        }

    @pytest.fixture(scope="class")
    def built(self, project):
        return {result.node.name: result for result in run_dbt(["build"])}

    @pytest.fixture
    def select(self, built, project, connection):
        return selector(connection, project.test_schema)

    @pytest.fixture
    def card_of(self, select):
        def of(function):
            return select(f"select * from {function}_scorecard()")

        return of

    def test_the_model_is_good_and_predicts_alike_everywhere(self, select):
        [(right, same)] = select(
            "select avg((predicted = is_bad)::int)::float8, bool_and(predicted = pinned) from scored"
        )
        assert right > 0.85 and same
        rows = select("select model_type, runtime, n_nodes from risk")
        assert rows == [("additive", "sql", 0)]

    def test_the_scorecard_lists_terms_bins_and_points(self, card_of):
        rows = card_of("predict_risk")
        terms = list(dict.fromkeys(term for term, *_ in rows))
        assert terms[0] == "(intercept)" and {"age", "home", "income"} <= set(terms)
        assert [term for term in terms if " & " in term]
        homes = [bin for term, bin, *_ in rows if term == "home"]
        assert sorted(", ".join(homes).split(", ")) == [
            "'O''Brien''s'",
            "'own'",
            "'rent'",
            "missing",
            "unseen",
        ]
        assert {label for _, _, label, *_ in rows} == {"true"}
        shares = [share for term, *_, share in rows if term == "age"]
        assert sum(shares) == pytest.approx(1, abs=1e-4)

    def test_points_add_up_to_the_log_odds_and_to_what_explains_a_row(self, select):
        [(worst,)] = select(
            """
            select max(abs(
                (select sum(v.value::float8) from jsonb_each_text(e -> 'explanations' -> 'label0' -> 'shap_values') as v)
                + (e -> 'explanations' -> 'label0' ->> 'expected_value')::float8
                - ln(p / (1 - p))))
            from (
                select predict_risk_explain(age, income, home) as e,
                    case when probabilities -> 'labels' ->> 0 = 'true' then (probabilities -> 'probabilities' ->> 0)::float8
                        else (probabilities -> 'probabilities' ->> 1)::float8 end as p
                from scored where id <= 200
            ) as r
            """
        )
        assert worst < 1e-6

    def test_constraints_hold_for_every_row(self, select):
        rows = select(
            """
            select bool_and(p >= q - 1e-5) from (
                select (predict_risk_probabilities(age, 1000, home)) as one,
                    (predict_risk_probabilities(age, 4500, home)) as two
                from loans where id < 300
            ) as r cross join lateral (
                select (one -> 'probabilities' ->> case when one -> 'labels' ->> 0 = 'true' then 0 else 1 end)::float8 as p,
                    (two -> 'probabilities' ->> case when two -> 'labels' ->> 0 = 'true' then 0 else 1 end)::float8 as q
            ) as s
            """
        )
        assert rows == [(True,)]

    def test_a_regression_has_points_in_its_unit_and_intervals(self, select, card_of):
        rows = card_of("predict_amount")
        assert {label for _, _, label, *_ in rows} == {None}
        assert rows[0][0] == "(intercept)" and 5000 < rows[0][3] < 15000
        [(covered,)] = select(
            "select avg((amount between (bounds->>'lower')::float8 and (bounds->>'upper')::float8)::int)::float8 "
            "from scored where income is not null"
        )
        assert covered > 0.8

    def test_several_classes_have_points_each(self, card_of):
        assert {label for _, _, label, *_ in card_of("predict_home")} == {"own", "rent", "O'Brien's"}

    def test_extreme_numbers_and_what_is_new_never_raise(self, select):
        rows = select(
            """
            select count(predict_amount(a, b)), count(distinct predict_amount(a, b)) filter (where a is null or a = 'NaN')
            from unnest(array['NaN', 'Infinity', '-Infinity', 1e300, 5e-324, null, 30]::float8[]) as a,
            unnest(array['new', null, '']) as b
            """
        )
        assert rows[0][0] == 7 * 3 and rows[0][1] <= 2

    def test_the_function_is_commented_and_granted(self, select):
        [(comment, allowed)] = select(
            """
            select obj_description(p.oid, 'pg_proc'), has_function_privilege('pg_monitor', p.oid, 'execute')
            from pg_proc as p where p.proname = 'predict_risk_scorecard'
            and p.pronamespace = current_schema()::regnamespace
            """
        )
        assert comment.startswith("Points of each bin of the additive model risk, version 1 (f1 ")
        assert "predict_risk_scorecard()" in comment and allowed

    def test_life(self, select, project, monkeypatch):
        def points():
            return select("select points from predict_risk_scorecard()")

        first = points()
        monkeypatch.setenv("ROUNDS", "20")
        run_dbt(["run", "-s", "risk"])
        assert points() != first
        project.run_sql(f"drop view {project.test_schema}.scored")
        arguments = json.dumps({"model": "risk"})
        run_dbt(["run-operation", "rollback_model", "--args", arguments])
        assert points() == first
        run_dbt(["build", "--empty", "-s", "home"])
        run_dbt(["run-operation", "drop_model", "--args", arguments])
        assert select(
            "select count(*) from pg_proc where proname like 'predict_risk%' and pronamespace = current_schema()::regnamespace"
        ) == [(0,)]


class TestEmptyAdditiveModel:
    @pytest.fixture(scope="class")
    def models(self):
        return {"loans.sql": LOANS, "risk.sql": RISK}

    def test_a_stub_has_a_scorecard_without_rows(self, project, connection):
        run_dbt(["build", "--empty"])
        select = selector(connection, project.test_schema)
        assert select("select * from predict_risk_scorecard()") == []
        assert select("select predict_risk(1, 1, 'own')") == [(None,)]
