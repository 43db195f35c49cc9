"""What the documentation site tells of a create_model before it is built: its card's columns, and its colour.

dbt writes the manifest after the adapter has seen it, so what is added here is in manifest.json, and
`persist_docs: {columns: true}` makes comments of it. What a user has written stays.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from dbt.adapters.postgres_ml.config.names import is_create_model

#: of a create_model in the lineage graph; dbt's own are blue, green, orange and red
NODE_COLOR = "#7b3fa0"
#: of the view `<model>`, as macros/catalog/card.sql creates it
CARD_COLUMNS = {
    "model": "Name of the model",
    "version": "Number of the training that serves, counted from 1",
    "state": "READY: the function predicts; STUB: it returns NULL until a build trains",
    "trained_at": "When the training ended",
    "problem_type": "What is predicted: one of two labels or of several, a number, a group, or an anomaly",
    "model_type": "The kind of model that was chosen",
    "objective": "What the training was asked to optimize",
    "metric": "The metric that score is measured by",
    "score": "How good the model is, by the metric; on hold-out rows that it never saw, if there are some",
    "metrics": "All metrics on the hold-out rows, as JSON",
    "n_rows": "Number of rows that were used",
    "n_holdout": "Number of those rows that the score was measured on",
    "n_features": "Number of columns that the model predicts from",
    "function": "Name of the SQL function that predicts",
    "signature": "How to call the function: names and types of its arguments, and the type of its result",
    "runtime": "What computes a prediction: native, sql or python",
    "n_nodes": "Size of the model: nodes of its trees, or coefficients",
    "est_rows_per_s": "Estimate of the rows that one core predicts in a second",
    "mlflow_run_id": "The training's run in MLflow",
    "dbt_unique_id": "The model's id in dbt",
}


def describe_cards(manifest: Any) -> None:
    """Give each create_model of the manifest a colour, and its card's columns their descriptions."""
    for node in filter(is_create_model, getattr(manifest, "nodes", {}).values()):
        if node.docs.node_color is None:
            node.docs = dataclasses.replace(node.docs, node_color=NODE_COLOR)
        # a contract's columns are those of the training query, all of them
        if not node.config.contract.enforced:
            _describe_columns(node)


def _describe_columns(node: Any) -> None:
    """Describe the card's columns that have no description yet."""
    from dbt.artifacts.resources.v1.components import ColumnInfo  # what dbt has loaded before there is a node

    given = {name.lower(): column for name, column in node.columns.items()}
    for name, description in CARD_COLUMNS.items():
        if name not in given:
            node.columns[name] = ColumnInfo(name=name, description=description)
        elif not given[name].description:
            given[name].description = description
