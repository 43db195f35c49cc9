"""Builds the examples and shows what came of them: the model card, ten predictions, where to look next."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import psycopg2
from dbt.adapters.postgres_ml.operations.reports import aligned
from postgres_ml import embedded

CARD = """
select model_name as model, version, problem_type, model_type, metric, round(score::numeric, 4) as score,
       n_rows, n_holdout, n_features, runtime, n_nodes
from postgres_ml.model_version
where model_schema = 'ml' and is_serving
order by problem_type, model_name
"""
PREDICTIONS = """
select customer_id, state, number_customer_service_calls as service_calls, will_churn,
       round(probability::numeric, 3) as probability
from ml.customers_at_risk
limit 10
"""


def show(cursor: Any, title: str, query: str) -> None:
    """Print a query's rows under a title."""
    cursor.execute(query)
    print(f"\n{title}\n")  # noqa: T201  # this script's output is its purpose
    names = [column.name for column in cursor.description]
    text = aligned([names, ["-" * len(name) for name in names], *cursor.fetchall()])
    print(textwrap.indent(text, "  "))  # noqa: T201


def main(project: Path) -> int:
    """Build the project and show it; return the exit code."""
    dbt = Path(sys.executable).parent / "dbt"
    built = subprocess.run([str(dbt), "build"], cwd=project, check=False)
    if built.returncode:
        return built.returncode
    address = embedded.ensure(str((project / "postgres.pgdata").resolve()))
    with psycopg2.connect(
        host=address.host, port=address.port, user=address.user, dbname=address.dbname
    ) as c:
        cursor = c.cursor()
        show(cursor, "What the models' cards say (select * from ml.customer_churn shows all of one)", CARD)
        show(cursor, "Ten customers at risk, predicted inside Postgres (ml.customers_at_risk)", PREDICTIONS)
    print(  # noqa: T201
        "\nWhat to look at next\n\n"
        "  make mlflow    the training runs: parameters, metrics, plots, model cards\n"
        "  make docs      the dbt documentation, with the lineage from data to predictions\n"
        "  make psql      SQL of your own: select * from ml.customer_churn; \\df ml.*\n"
        f"  {project}/models    twelve dbt models that train, and twelve that predict\n\n"
        "How it works: macros/materializations/create_model.sql, then python_runtime/postgres_ml/pipeline.py"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
