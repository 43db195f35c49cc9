"""Registered models in a virtual environment that has their requirements and nothing else, by MLflow itself.

Labels and their types must be those of the SQL functions, NULLs and unseen categories included.
"""

from __future__ import annotations

import json
import os
import subprocess
import venv
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import xgboost
from dbt.tests.util import run_dbt
from postgres_ml.components.estimators import BlendedClassifier, LabelEncodedClassifier
from postgres_ml.components.neural_network import NetworkClassifier
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

pytestmark = pytest.mark.exhaustive
COLUMNS = ("calls", "region", "since")
CUSTOMERS = """
{{ config(materialized='table') }}
select i as id, nullif(i % 97, 5) / 10.0 as calls, (array['n', 's', 'w', null])[1 + i % 4] as region,
    date '2020-01-01' + i % 500 as since, case when i % 97 > 40 or i % 4 = 0 then 'yes' else 'no' end as churned,
    i % 3 as grade, i % 97 > 50 as is_vip, (i % 97) * 2.5 as amount
from generate_series(1, 900) as i
"""
QUERY = "select calls, region, since, {target} from {{{{ ref('customers') }}}}"
CODED = """
def model(dbt, session):
    dbt.config(materialized="create_model", target="churned", arguments="calls numeric, region text")
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    rows = dbt.ref("customers")
    texts = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    columns = ColumnTransformer([("n", "passthrough", ["calls"]), ("t", texts, ["region"])])
    estimator = make_pipeline(columns, HistGradientBoostingClassifier(max_iter=5))
    return estimator.fit(rows[["calls", "region"]], rows["churned"])
"""
ASKED = [
    {"calls": 9.5, "region": "n", "since": "2020-05-06"},
    {"calls": None, "region": None, "since": None},
    {"calls": 0.3, "region": "never seen", "since": "1999-12-31"},
    {"calls": -1e300, "region": "", "since": "2999-12-31"},
    {"calls": 4, "region": "w", "since": "2020-02-29"},
]
LOAD = """
import json, sys, warnings
warnings.simplefilter("ignore")
import mlflow, pandas as pd
frame = pd.DataFrame(json.load(sys.stdin))
answers = {}
for name in sys.argv[2:]:
    loaded = mlflow.pyfunc.load_model(f"{sys.argv[1]}/{name}")
    answers[name] = pd.Series(list(loaded.predict(frame)), dtype=object).tolist()
likely = mlflow.pyfunc.load_model(f"{sys.argv[1]}/network").predict(frame, params={"proba": True})
assert "dbt" not in sys.modules and "/code/" in sys.modules["postgres_ml"].__file__
print(json.dumps([answers, likely.to_dict("records")], default=lambda number: number.item()))
"""


def model(target: str, settings: str) -> str:
    query = QUERY.format(target=target)
    return f"{{{{ config(materialized='create_model', target='{target}', {settings}) }}}}\n{query}"


def blended() -> Pipeline:
    """A model from a file, of our own types."""
    i = np.arange(1, 901)
    frame = pd.DataFrame(
        {"calls": (i % 97) / 10.0, "region": pd.Series(np.array(["n", "s", "w"])[i % 3], dtype=object)}
    )
    columns = ColumnTransformer(
        [
            ("n", SimpleImputer(), ["calls"]),
            ("t", OneHotEncoder(sparse_output=False, handle_unknown="ignore"), ["region"]),
        ]
    )
    trees = LabelEncodedClassifier(xgboost.XGBClassifier(n_estimators=5, max_depth=3))
    network = NetworkClassifier((8,), n_epochs=5, random_state=0)
    blend = BlendedClassifier([("trees", trees), ("network", network)], [0.5, 0.5])
    target = np.where((i % 97 > 40) | (i % 3 == 0), "yes", "no").astype(object)
    return Pipeline([("columns", columns), ("blend", blend)]).fit(frame, target)


class TestElsewhere:
    @pytest.fixture(scope="class")
    def models(self):
        trees = "model_type='xgboost', preprocessors=none, auto=false, hyperparameters={'num_round': 5}"
        return {
            "customers.sql": CUSTOMERS,
            "network.sql": model("churned", "model_type='mlp', auto=false, hyperparameters={'max_iter': 5}"),
            "grade.sql": model("grade", trees),
            "vip.sql": model("is_vip", "model_type='linear_learner', auto=false"),
            "amount.sql": model("amount", trees),
            "blend.sql": "{{ config(materialized='create_model', source='blend.joblib', "
            "arguments='calls float8, region text') }}",
            "coded.py": CODED,
        }

    @pytest.fixture(scope="class")
    def built(self, project):
        root = Path(project.project_root)
        joblib.dump(blended(), root / "blend.joblib")
        results = run_dbt(["build"])
        return root, [result.node.name for result in results if result.node.name != "customers"]

    @pytest.fixture(scope="class")
    def registry(self, built, project):
        """Where the models are: their names in the environment of MLFLOW_TRACKING_URI."""
        root, _ = built
        uri = f"sqlite:///{root / 'mlflow.db'}"
        return uri, f"models:/{project.test_schema}.{{}}@champion"

    @pytest.fixture(scope="class")
    def elsewhere(self, built, registry, tmp_path_factory):
        """A new environment with what the models' requirements.txt say, and the models' folders."""
        import mlflow

        _, names = built
        uri, template = registry
        mlflow.set_tracking_uri(uri)
        folder = tmp_path_factory.mktemp("elsewhere")
        wanted: set[str] = set()
        for name in names:
            mlflow.artifacts.download_artifacts(template.format(name), dst_path=str(folder / name))
            wanted |= set((folder / name / "requirements.txt").read_text().split())
        assert not any("dbt" in line for line in wanted)
        venv.create(folder / "venv", with_pip=True)
        python = folder / "venv" / "bin" / "python"
        subprocess.run([python, "-m", "pip", "install", "--quiet", *sorted(wanted)], check=True)
        return folder, python

    @pytest.fixture(scope="class")
    def in_sql(self, built, project, server_connection):
        """What each function predicts for the rows asked, as JSON has it."""
        _, names = built
        answers = {}
        with server_connection.cursor() as cursor:
            cursor.execute(f'set search_path to "{project.test_schema}"')
            for name in names:
                given = "calls, region" if name in ("blend", "coded") else "calls, region, since"
                kind = "float8" if name == "blend" else "numeric"
                cursor.execute(
                    f"select to_json(predict_{name}({given})) from json_to_recordset(%s) "
                    f"as asked(calls {kind}, region text, since date)",
                    (json.dumps(ASKED),),
                )
                answers[name] = [value for (value,) in cursor.fetchall()]
            cursor.execute(
                "select predict_network_probabilities(calls, region, since) from json_to_recordset(%s) "
                "as asked(calls numeric, region text, since date)",
                (json.dumps(ASKED),),
            )
            likely = [dict(zip(p["labels"], p["probabilities"], strict=True)) for (p,) in cursor.fetchall()]
        return answers, likely

    @staticmethod
    def environment(python):
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV", "MLFLOW"))}
        return {**kept, "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"}

    def test_load_model_predicts_what_the_functions_do(self, elsewhere, built, in_sql):
        folder, python = elsewhere
        _, names = built
        assert len(names) == 6
        done = subprocess.run(
            [python, "-c", LOAD, folder, *names], input=json.dumps(ASKED), text=True, cwd=folder,
            env=self.environment(python), check=True, capture_output=True,
        )  # fmt: skip
        answers, likely = json.loads(done.stdout.splitlines()[-1])
        expected, expected_likely = in_sql
        for name in names:
            same_answers(name, answers[name], expected[name])
        for row, expected_row in zip(likely, expected_likely, strict=True):
            assert row == pytest.approx(expected_row, abs=1e-6)

    @pytest.mark.parametrize("name", ["network", "grade", "coded"])
    def test_mlflow_models_predict(self, elsewhere, in_sql, name):
        folder, python = elsewhere
        columns = list(COLUMNS)
        asked = {"columns": columns, "data": [[row[c] for c in columns] for row in ASKED]}
        (folder / "asked.json").write_text(json.dumps({"dataframe_split": asked}))
        command = [
            "-m",
            "mlflow",
            "models",
            "predict",
            "--env-manager",
            "local",
            "--model-uri",
            folder / name,
        ]
        files = ["--input-path", folder / "asked.json", "--output-path", folder / "answer.json"]
        subprocess.run(
            [python, *command, *files, "--content-type", "json"],
            cwd=folder, env=self.environment(python), check=True,
        )  # fmt: skip
        answers = json.loads((folder / "answer.json").read_text())["predictions"]
        same_answers(
            name, [next(iter(a.values())) if isinstance(a, dict) else a for a in answers], in_sql[0][name]
        )


def same_answers(name, found, expected):
    """Compare labels with their types, numbers to 1e-6."""
    assert [type(value) for value in found] == [type(value) for value in expected], name
    if isinstance(expected[0], float):
        assert found == pytest.approx(expected, rel=1e-6), name
    else:
        assert found == expected, name
