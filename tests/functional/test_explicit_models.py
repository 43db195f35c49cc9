"""Models without auto, as Redshift's AUTO OFF: kmeans, mlp, xgboost's objectives, preprocessors, hold-outs."""

import json
from pathlib import Path

import mlflow
import psycopg2
import pytest
from dbt.tests.util import run_dbt
from support.selecting import selector

N_ROWS = 900

POINTS = f"""
{{{{ config(materialized='table') }}}}
select
    i as id,
    i % 3 * 10 + (hashtext('x' || i) % 100) / 100.0 as x,
    case when i % 20 = 0 then null else (i % 3) ^ 2 * 5 + (hashtext('y' || i) % 100) / 100.0 end as y,
    (array['red', 'green', 'blue'])[1 + abs(hashtext('c' || i)) % 3] as colour,
    (hashtext('l' || i) % 3 = 0)::int as lucky,
    i % 3 = 1 as is_middle,
    date '2020-01-01' + i % 100 as day,
    (i % 5 = 0)::int as is_test,
    3.0 * i + case when abs(hashtext('c' || i)) % 3 = 0 then 100 else 0 end as amount
from generate_series(1, {N_ROWS}) as i
"""


def model(query, **config):
    return f"{{{{ config(materialized='create_model', {', '.join(f'{k}={v!r}' for k, v in config.items())}) }}}} {query}"


KMEANS = {"model_type": "kmeans", "hyperparameters": {"k": "3"}}
MODELS = {
    "groups": model("select x, y, colour from {{ ref('points') }}", **KMEANS),
    "plain_groups": model(
        "select x, y from {{ ref('points') }}",
        preprocessors=[{"ColumnSet": ["*"], "Transformers": ["ImputerWithIndicator", "MinMax"]}],
        **KMEANS,
    ),
    "net": model(
        "select x, lucky, colour, amount from {{ ref('points') }}",
        target="amount",
        auto=False,
        model_type="mlp",
        hyperparameters={"hidden_layer_sizes": "8", "max_iter": "60"},
        settings={"refit": False},
    ),
    "chance": model(
        "select x, y, is_middle, lucky from {{ ref('points') }}",
        target="is_middle",
        auto="OFF",
        model_type="XGBOOST",
        objective="reg:logistic",
        preprocessors="none",
        hyperparameters="DEFAULT EXCEPT (NUM_ROUND '5', eta '0.7', monotone_constraints '(0,0,0)')",
        settings={"holdout": {"column": "is_test"}, "s3_bucket": "b"},
    ).replace("lucky from", "lucky, is_test from"),
    "later": model(
        "select x, colour, lucky, amount, day from {{ ref('points') }}",
        target="amount",
        auto=False,
        model_type="linear_learner",
        preprocessors=[
            {"column_set": ["colour"], "transformers": ["OneHotEncoder"]},
            {"column_set": ["*"], "transformers": ["StandardScaler", "PCA"]},
        ],
        settings={"holdout": {"time": "day", "after": "2020-03-01"}, "refit": False},
    ),
    "band": model(
        "select x, colour, (id % 3 + 5)::smallint as tier from {{ ref('points') }}",
        target="tier",
        auto=False,
        model_type="xgboost",
        objective="multi:softmax",
        hyperparameters={"num_class": "30", "num_round": 5},
        preprocessors=[{"column_set": ["colour"], "transformers": ["Imputer", "OrdinalEncoder"]}],
    ),
}
SCORED = """
select p.*, {{ predict('groups') }} as cluster, {{ predict_distances('groups') }} as distances,
    {{ predict('chance') }} as probability, {{ predict('band') }} as tier
from {{ ref('points') }} as p
"""


class TestExplicitModels:
    @pytest.fixture(scope="class")
    def models(self):
        return {"points.sql": POINTS, "scored.sql": SCORED} | {f"{k}.sql": v for k, v in MODELS.items()}

    @pytest.fixture(scope="class")
    def built(self, project):
        return {result.node.name: result for result in run_dbt(["build"])}

    @pytest.fixture
    def select(self, built, project, connection):
        return selector(connection, project.test_schema)

    def test_clusters_are_found_and_numbered(self, select):
        rows = select("select id % 3, array_agg(distinct cluster) from scored where y is not null group by 1")
        assert sorted(clusters[0] for _, clusters in rows) == [0, 1, 2]
        assert all(len(clusters) == 1 for _, clusters in rows)
        assert select("select distinct pg_typeof(cluster)::text from scored") == [("integer",)]

    def test_the_cluster_is_the_nearest_centre(self, select):
        query = """select count(*) from scored
        where array_length(distances, 1) <> 3 or distances[cluster + 1] <> (select min(d) from unnest(distances) d)"""
        assert select(query) == [(0,)]
        assert select("select pg_typeof(distances)::text from scored limit 1") == [("double precision[]",)]

    def test_the_card_of_clusters(self, select, built, project):
        [(card,)] = select("select to_jsonb(groups) from groups")
        assert (card["problem_type"], card["model_type"], card["metric"]) == (
            "clustering",
            "kmeans",
            "inertia",
        )
        assert card["metrics"].keys() == {"inertia", "silhouette"}
        assert 0.2 < card["metrics"]["silhouette"] <= 1
        assert card["signature"].endswith("returns integer")
        client = mlflow.MlflowClient(f"sqlite:///{project.project_root}/mlflow.db")
        run_id = built["groups"].adapter_response["mlflow_run_id"]
        names = {item.path for item in client.list_artifacts(run_id, "plots")}
        assert names == {"plots/clusters.png"}
        path = client.download_artifacts(run_id, "model_card.md")
        assert "| cluster | rows | mean x | mean y |" in Path(path).read_text(encoding="utf-8")

    def test_a_missing_value_has_a_cluster_by_the_mean(self, select):
        assert select("select predict_groups(10, null, null) is null") == [(False,)]
        assert select("select predict_plain_groups(10, null) is null") == [(False,)]
        assert select("select predict_plain_groups('Infinity', 1)") == [(None,)]

    def test_a_clustering_has_no_feature_importance(self, select, project):
        with pytest.raises(psycopg2.errors.FeatureNotSupported, match="a clustering predicts no score"):
            select(f"select * from postgres_ml.feature_importance('{project.test_schema}.groups')")

    def test_reg_logistic_returns_the_probability(self, select, built):
        rows = select(
            "select is_middle, min(probability), max(probability) from scored group by 1 order by 1"
        )
        assert rows[0][2] < 0.2 and rows[1][1] > 0.8
        assert built["chance"].adapter_response["metrics"].keys() == {"mse", "rmse", "mae", "r2"}

    def test_the_marked_rows_are_the_holdout_and_no_feature(self, select):
        [(rows, held, signature)] = select("select n_rows, n_holdout, signature from chance")
        assert (rows, held) == (N_ROWS, N_ROWS // 5)
        assert (
            signature
            == "(x double precision, y double precision, lucky double precision) returns double precision"
        )

    def test_rows_after_a_date_are_the_holdout(self, select):
        assert select("select n_rows, n_holdout from later") == [(N_ROWS, N_ROWS * 40 // 100)]

    def test_labels_of_softmax_have_the_targets_type(self, select):
        assert select("select distinct pg_typeof(predict_band(x, colour))::text from points") == [
            ("smallint",)
        ]
        [(right,)] = select("select avg((predict_band(x, colour) = id % 3 + 5)::int)::float from points")
        assert right > 0.99

    def test_the_network_learns(self, select):
        [(score,)] = select("select metrics ->> 'r2' from net")
        assert float(score) > -2  # sixty epochs are few

    def test_run_results_are_json(self, built, project):
        found = json.loads(Path(project.project_root, "target", "run_results.json").read_text())["results"]
        assert {r["status"] for r in found} == {"success"}


class TestRefusals:
    """What parses and can't be trained: each names the column, the cause and the cure."""

    BASE = "select i as n, 'a' || i % 7 as word, {extra} i % 2 = 0 as y from generate_series(1, 600) as i"

    @pytest.fixture(scope="class")
    def models(self):
        plain, xgboost = self.BASE.format(extra=""), {"target": "y", "auto": False, "model_type": "xgboost"}
        gaps = self.BASE.format(extra="nullif(i % 4, 0) as gap,")
        day = self.BASE.format(extra="date '2020-01-01' + i % 100 as day,")

        def sets(columns, *transformers):
            return {"preprocessors": [{"column_set": columns, "transformers": list(transformers)}]}

        models = {
            "text_without_encoding": model(plain, **xgboost, preprocessors="none"),
            "text_scaled": model(plain, **xgboost, **sets(["word"], "StandardScaler")),
            "number_as_date": model(plain, **xgboost, **sets(["n"], "DateTimeVectorizer")),
            "misspelled_column": model(plain, **xgboost, **sets(["wrd"], "OneHotEncoder")),
            "gap_in_pca": model(gaps, **xgboost, **sets(["n", "gap"], "PCA")),
            "no_test_rows": model(day, **xgboost, settings={"holdout": {"time": "day", "after": "2030-01-01"}}),
            "marks_of_text": model(plain, **xgboost, settings={"holdout": {"column": "word"}}),
            "no_such_mark": model(plain, **xgboost, settings={"holdout": {"column": "is_tst"}}),
        }  # fmt: skip
        return {f"{name}.sql": text for name, text in models.items()}

    @pytest.fixture(scope="class")
    def messages(self, project):
        return {result.node.name: result.message for result in run_dbt(["build"], expect_pass=False)}

    @pytest.mark.parametrize(
        ("name", "cause"),
        [
            (
                "text_without_encoding",
                "preprocessors are 'none': give it a OneHotEncoder, an OrdinalEncoder or a TextVectorizer",
            ),
            ("text_scaled", 'column "word" is of type text, which StandardScaler doesn\'t take'),
            (
                "number_as_date",
                'column "n" is of type integer, and a DateTimeVectorizer needs a date, time or timestamp',
            ),
            ("misspelled_column", 'the query has no feature "wrd", did you mean "word"?'),
            ("gap_in_pca", "rows, and PCA takes no missing values: put an Imputer before"),
            ("no_test_rows", 'no row is held out, because none has "day" >= 2030-01-01'),
            ("marks_of_text", 'column "word" is of type text, not boolean or 0 and 1'),
            ("no_such_mark", 'has no column "is_tst" (settings: holdout)'),
        ],
    )
    def test_message(self, messages, name, cause):
        assert name in messages[name]
        assert cause in messages[name], messages[name]
