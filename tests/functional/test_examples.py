"""The examples as their users build them: `dbt deps`, `dbt build`; then every row and 10,000 hostile ones.

The oracle is the pipeline that MLflow keeps, asked outside of the database.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import joblib
import psycopg2
import pytest
from postgres_ml import embedded
from postgres_ml.contract.column import Column
from postgres_ml.contract.model import FunctionBody
from postgres_ml.program.adversarial import adversarial_rows
from postgres_ml.program.serialize import program_from_json
from postgres_ml.verify import parity
from postgres_ml.verify.rows import ESCAPES, as_frame, expected, to_text

ROOT = Path(__file__).parents[2]
N_ADVERSARIAL = 10_000
EXAMPLES = {  # model: (relation with the features' columns, metric, least value)
    "customer_churn": ("ml_data.telco_customers", "f1", 0.80),
    "churn_scorecard": ("ml_data.telco_customers", "auc", 0.85),
    "penguin_species": ("ml_data.penguins", "accuracy", 0.97),
    "diamond_price": ("ml_data.diamonds", "r2", 0.97),
    "job_duration": ("ml_data.compute_jobs", "accuracy", 0.78),
    "review_tone": ("ml_data.review_sentences", "accuracy", 0.65),
    "wine_groups": ("ml_data.wines", "silhouette", 0.2),
    "unusual_demand": ("ml.taxi_half_hours", "anomaly_share", 0.01),
    "concrete_strength": (None, "r2", 0.7),  # its query computes features
    "carbon_dioxide": (None, "r2", 0.6),
}
FORECASTS = {"mauna_loa_monthly": 12, "taxi_demand": 4 * 7}  # rows that each tells
READABLE = [name for name, (relation, *_) in EXAMPLES.items() if relation]
DETAILS = {"regression": None, "clustering": "distances", "anomaly_detection": "is_anomaly"}

pytestmark = pytest.mark.xdist_group("examples")


@pytest.fixture(scope="module")
def build():
    """The integration project, built in a copy of the repository."""
    # not in pytest's folders: those of root are closed to the account that the server may run under
    root = Path(tempfile.mkdtemp(prefix="pgml-examples-", dir="/tmp"))
    root.chmod(0o755)
    ignored = shutil.ignore_patterns("target", "logs", "dbt_packages", "*.pgdata", "mlflow.db", "mlartifacts")
    for name in ("macros", "models_examples", "integration_tests"):
        shutil.copytree(ROOT / name, root / name, ignore=ignored)
    shutil.copy(ROOT / "dbt_project.yml", root)
    project = root / "integration_tests"
    dbt = [str(Path(sys.executable).parent / "dbt"), "--no-use-colors", "--no-send-anonymous-usage-stats"]
    subprocess.run([*dbt, "deps"], cwd=project, check=True, capture_output=True)
    environment = {**os.environ, "DBT_PROFILES_DIR": str(project)}
    done = subprocess.run([*dbt, "build"], cwd=project, capture_output=True, text=True, env=environment)
    server = project / "postgres.pgdata"
    address = embedded.ensure(str(server))
    where = {"host": address.host, "port": address.port, "user": address.user, "dbname": address.dbname}
    yield SimpleNamespace(
        project=project, output=done.stdout + done.stderr, code=done.returncode, where=where
    )
    embedded.stop(server)
    shutil.rmtree(root)


@pytest.fixture
def cursor(build):
    connection = psycopg2.connect(**build.where)
    with connection.cursor() as opened:
        yield opened
    connection.close()


def test_every_node_passes(build):
    assert build.code == 0, build.output
    assert "ERROR=0 SKIP=0" in build.output


@pytest.mark.parametrize("name", EXAMPLES)
def test_scores(cursor, name):
    _, metric, least = EXAMPLES[name]
    cursor.execute(f"select (metrics ->> '{metric}')::float, n_holdout, n_rows from ml.{name}")
    score, n_holdout, n_rows = cursor.fetchone()
    assert score >= least
    assert 0.1 < n_holdout / n_rows < 0.3


@pytest.mark.parametrize("name", READABLE)
def test_every_row_and_10000_hostile_ones_agree_with_the_library(build, cursor, tmp_path, name):
    cursor.execute(
        """select mlflow_run_id, functions, problem_type from postgres_ml.model_version
           where model_name = %s and is_serving""",
        (name,),
    )
    run_id, functions, problem_type = cursor.fetchone()
    [artifacts] = build.project.glob(f"mlartifacts/**/{run_id}/artifacts")
    pipeline = joblib.load(artifacts / "pipeline.joblib")
    program = program_from_json((artifacts / "program.json").read_text())
    features = tuple(Column(i.name, i.sql_type, i.kind) for i in program.inputs)

    columns = hostile = adversarial_rows(program, 20_260, N_ADVERSARIAL)
    assert len(hostile[features[0].name]) == N_ADVERSARIAL
    names = ", ".join('"' + column.name + '"' for column in features)
    cursor.execute(f"select {names} from {EXAMPLES[name][0]}")
    rows = cursor.fetchall()
    columns = {
        column.name: [row[index] for row in rows] + list(hostile[column.name])
        for index, column in enumerate(features)
    }
    predictions = expected(pipeline, as_frame(columns, features), DETAILS.get(problem_type, "probabilities"))
    cells = [[to_text(value, column.sql_type) for value in columns[column.name]] for column in features]
    path = tmp_path / "rows.copy"
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for row in zip(*cells, *predictions, [None] * len(predictions[0]), strict=True):
            file.write("\t".join("\\N" if cell is None else cell.translate(ESCAPES) for cell in row) + "\n")

    # the bounds of an interval are no output of the pipeline: tests/native/test_interval_function.py has them
    bodies = tuple(FunctionBody(**body) for body in functions if body["role"] != "interval")
    version = parity.Predictor(features, bodies, program.return_type, problem_type)
    summary = parity.check_parity(cursor, "ml", version, path)
    assert summary.n_rows == len(rows) + N_ADVERSARIAL
    assert summary.max_difference <= 1e-6


@pytest.mark.parametrize("name", FORECASTS)
def test_forecasts_are_no_worse_than_the_seasonal_naive_one(cursor, name):
    cursor.execute(f"select count(*) from ml.predict_{name}()")
    assert cursor.fetchone() == (FORECASTS[name],)
    cursor.execute(f"select (metrics ->> 'mase')::float <= (metrics ->> 'naive_mase')::float from ml.{name}")
    assert cursor.fetchone() == (True,)


def test_another_role_predicts_by_psql(build, cursor):
    cursor.execute("create role reader login; grant usage on schema ml to reader")
    cursor.connection.commit()
    query = "select predict_penguin_species('Biscoe', 47.5, 15, 220, 5400, 'male')"
    command = [
        str(Path(sys.executable).parent / "postgres-ml"),
        "psql",
        str(build.project / "postgres.pgdata"),
    ]
    options = ["-U", "reader", "-d", "postgres", "-At", "-c", "set search_path to ml", "-c", query]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "Gentoo"


def test_run_results_lead_to_mlflow(build):
    results = json.loads((build.project / "target" / "run_results.json").read_text())["results"]
    responses = {
        result["unique_id"].rsplit(".", 1)[1]: result["adapter_response"]
        for result in results
        if "mlflow_run_id" in result["adapter_response"]
    }
    assert responses.keys() == EXAMPLES.keys() | FORECASTS.keys()
    for response in responses.values():
        assert list(build.project.glob(f"mlartifacts/**/{response['mlflow_run_id']}/artifacts/model_card.md"))


def test_no_training_data_is_left_on_disk(build):
    left = [path for path in build.project.glob("target/postgres_ml/**/*") if path.suffix != ".lock"]
    assert not left
