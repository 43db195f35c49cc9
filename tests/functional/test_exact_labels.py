"""A classifier returns a label of its training data, equal to it, whatever the label's type and size."""

from __future__ import annotations

from typing import Any

import pytest
from dbt.tests.util import run_dbt_and_capture
from support.native_server import plmodel, server

__all__ = ["plmodel", "server"]

MODEL = """
{{{{ config(materialized='create_model', target='label', auto=false, model_type='{model_type}', runtime='{runtime}',
          problem_type='{problem}') }}}}
select i % 10 as x, i % 7 as z, {label} as label from generate_series(1, 600) as i
"""
TWO = "case when i % 10 > 5 then {} else {} end::{}"
THREE = "(array[{}])[1 + i % 10 / 4]::{}"
#: name -> labels, type, problem type
LABELS = {
    "beyond_doubles": (["90071992547409931", "90071992547499939"], "numeric(20, 0)"),
    "beyond_integers": (["123456789012345678901234567890", "123456789012345678901234567891"], "numeric"),
    "fractions": (["0.1", "0.1234567890123456789", "10.5"], "numeric(38, 19)"),
    "bigints": (["9007199254740993", "9007199254740992", "-9223372036854775808"], "bigint"),
    "digits_in_text": (["'9007199254740993'", "'9007199254740992'"], "text"),
    "reals": (["0.1", "0.2", "1e-30"], "real"),
    "doubles": (["0.1", "0.30000000000000004", "5e-324"], "double precision"),
}
QUOTE = "'"
RUNTIMES = {"sql": "linear_learner", "native": "xgboost"}


def model(name: str, runtime: str) -> str:
    labels, sql_type = LABELS[name]
    two = len(labels) == 2
    label = TWO.format(*labels, sql_type) if two else THREE.format(", ".join(labels), sql_type)
    problem = "binary_classification" if two else "multiclass_classification"
    return MODEL.format(model_type=RUNTIMES[runtime], runtime=runtime, problem=problem, label=label)


def values(labels: list[str], sql_type: str) -> str:
    return ", ".join(f"('{label.strip(QUOTE)}'::{sql_type})" for label in labels)


class TestLabels:
    @pytest.fixture(scope="class", autouse=True)
    def extension(self, project: Any, plmodel: Any) -> None:
        pass

    @pytest.fixture(scope="class")
    def models(self) -> dict[str, str]:
        return {f"{name}_{runtime}.sql": model(name, runtime) for name in LABELS for runtime in RUNTIMES}

    @pytest.fixture(scope="class", autouse=True)
    def built(self, project: Any, extension: None) -> None:
        results, log = run_dbt_and_capture(["build", "--threads", "2"])
        assert {result.status for result in results} == {"success"}, log

    @pytest.mark.parametrize("runtime", RUNTIMES)
    @pytest.mark.parametrize("name", LABELS)
    def test_every_prediction_is_a_label(self, project: Any, name: str, runtime: str) -> None:
        labels, sql_type = LABELS[name]
        known = values(labels, sql_type)
        n_known, n_distinct, kind = project.run_sql(
            f"""select count(*) filter (where p in (select label from (values {known}) as known(label))),
                count(distinct p), min(pg_typeof(p)::text)
            from (select {{schema}}.predict_{name}_{runtime}(i % 10, i % 7) as p from generate_series(1, 600) i) s""",
            fetch="one",
        )
        assert n_known == 600, f"{600 - n_known} predictions are no label of the training data"
        assert n_distinct == len(labels) and kind == sql_type.partition("(")[0]

    @pytest.mark.parametrize("runtime", RUNTIMES)
    @pytest.mark.parametrize("name", LABELS)
    def test_probabilities_are_of_these_labels(self, project: Any, name: str, runtime: str) -> None:
        labels, sql_type = LABELS[name]
        known = values(labels, sql_type)
        (n_unknown,) = project.run_sql(
            f"""select count(*) from jsonb_array_elements_text(
                {{schema}}.predict_{name}_{runtime}_probabilities(3, 3) -> 'labels') as l
            where l::{sql_type} not in (select label from (values {known}) as known(label))""",
            fetch="one",
        )
        assert n_unknown == 0
