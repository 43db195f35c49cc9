"""What run-operation macros print, and which model a name means."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from dbt.adapters.postgres_ml.operations import find, reports, scores
from dbt_common.exceptions import CompilationError
from postgres_ml.evaluate.metrics import classification_metrics

NODES = [
    SimpleNamespace(
        name="churn", schema="ml", alias="customer_churn", relation_name='"db"."ml"."customer_churn"'
    ),
    SimpleNamespace(name="price", schema="ml", alias="price", relation_name=None),
    *[
        SimpleNamespace(
            name="fraud",
            schema="ml",
            alias=f"fraud_v{v}",
            version=v,
            latest_version=2,
            relation_name=f"ml.fraud_v{v}",
        )
        for v in (1, 2, 3)
    ],
]
PUBLISHED = [
    *(("ml", f"fraud_v{v}") for v in (1, 2, 3)),
    ("ml", "customer_churn"),
    ("old", "churn_2"),
    ("a", "twice"),
    ("b", "twice"),
]


@pytest.mark.parametrize(
    ("name", "schema", "identifier"),
    [
        ("churn", "ml", "customer_churn"),
        ("ml.customer_churn", "ml", "customer_churn"),
        ('"ml"."customer_churn"', "ml", "customer_churn"),
        ("churn_2", "old", "churn_2"),
        ("fraud", "ml", "fraud_v2"),
        ("fraud.v1", "ml", "fraud_v1"),
        ("fraud_v3", "ml", "fraud_v3"),
    ],
)
def test_a_model_is_found_by_node_and_by_catalog(name: str, schema: str, identifier: str) -> None:
    found = find.find_model(name, NODES, PUBLISHED)
    assert found == {"schema": schema, "identifier": identifier}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("churm", "did you mean 'churn'"),
        ("ml.customer_chrun", "did you mean 'ml.customer_churn'"),
        ("price", "price is not built in schema ml yet: dbt build --select price"),
        ("twice", "say a.twice or b.twice"),
        ("zzz", "there are: a.twice, b.twice, churn, fraud_v1, .*ml.fraud_v3, old.churn_2, price"),
    ],
)
def test_an_unknown_model_is_an_error_with_the_cure(name: str, text: str) -> None:
    with pytest.raises(CompilationError, match=text):
        find.find_model(name, NODES, PUBLISHED)


def test_relations_are_the_projects_or_qualified() -> None:
    assert find.find_relation("churn", NODES) == '"db"."ml"."customer_churn"'
    assert find.find_relation("raw.orders", NODES) == "raw.orders"
    with pytest.raises(CompilationError, match="did you mean 'churn'"):
        find.find_relation("chrun", NODES)


def test_columns_align_and_long_text_keeps_its_column() -> None:
    rows = [("Query", "select 1\nfrom t"), ("Target Column", None), ("n", 7)]
    assert reports.aligned(rows) == (
        "Query          select 1\n               from t\nTarget Column\nn              7"
    )
    assert reports.aligned([("a", 1), ("b", 100)], right=(1,)) == "a    1\nb  100"


@pytest.mark.parametrize("labels", [["no", "yes"], ["a", "b", "c"]])
def test_scores_of_counts_are_those_of_scikit_learn(labels: list[str]) -> None:
    random = np.random.default_rng(0)
    truth, predicted = random.integers(0, len(labels), (2, 300))
    probabilities = np.full((300, len(labels)), 1 / len(labels))
    wanted = classification_metrics(truth, predicted, probabilities)
    pairs = [(labels[t], labels[p]) for t, p in zip(truth, predicted, strict=True)]
    counts = [(*pair, pairs.count(pair)) for pair in sorted(set(pairs))]
    found = scores.classification_scores(counts, labels)
    assert found == pytest.approx({name: wanted[name] for name in found})
    assert set(found) == set(wanted) - {"auc", "log_loss"}


def test_a_row_without_a_prediction_is_wrong_and_shown() -> None:
    counts = [("yes", None, 1), ("yes", "yes", 3)]
    text = reports.classification_text("m", "t", counts, ["no", "yes"], {"auc": None})
    assert "m on 4 rows of t, 1 of them without a prediction" in text
    assert "accuracy   0.75" in text and "no prediction" in text and "auc        –" in text
    assert "too many" in reports.confusion_text([], [str(i) for i in range(30)])


def test_an_explanation_is_a_table_with_bars() -> None:
    label = {"global_shap_values": {"small": 0.5, "great": 2.0, "none": 0.0}, "expected_value": -1.25}
    document = {
        "version": "1.0", "explanations": {"kernel_shap": {"label0": label}}, "method": "tree_shap",
        "unit": "log-odds", "labels": {"label0": "yes"}, "rows": 100,
    }  # fmt: skip
    import json

    lines = reports.explanation_text("ml.churn", json.dumps(document)).splitlines()
    assert lines[0] == "ml.churn: mean |SHAP value| of 100 rows, in log-odds (tree_shap, exact)"
    assert lines[2] == "label0: 'yes', expected value -1.25"
    assert lines[3] == "great    2  " + "█" * 30 and lines[5] == "none     0"
    for method in ("permutation_shap", "kernel_shap"):  # the second is what 0.1.0 called the first
        text = reports.explanation_text("ml.churn", json.dumps(document | {"method": method}))
        assert f"({method}, sampled)" in text
    missing = json.dumps({"version": "1.0", "explanations": "not available for model type kmeans"})
    assert (
        reports.explanation_text("ml.k", missing) == "ml.k: explanation not available for model type kmeans"
    )
