"""What is added to the manifest for the documentation site, and that what users wrote stays."""

from __future__ import annotations

from types import SimpleNamespace

import agate
from dbt.adapters.postgres_ml.catalog.docs_stats import FIELDS, with_stats
from dbt.adapters.postgres_ml.config.dbt_docs import CARD_COLUMNS, NODE_COLOR, describe_cards
from dbt.artifacts.resources import ColumnInfo, Docs

from tests.support.model_config import node


def described(docs: Docs | None = None, columns: tuple[ColumnInfo, ...] = (), **config):
    model = node(target="y")
    vars(model.config).update(config)
    model.docs = docs or Docs()
    model.columns = {column.name: column for column in columns}
    describe_cards(SimpleNamespace(nodes={"model.shop.churn": model}))
    return model


def test_a_card_is_described_and_coloured():
    model = described()
    assert {name: column.description for name, column in model.columns.items()} == CARD_COLUMNS
    assert model.docs == Docs(show=True, node_color=NODE_COLOR)


def test_what_a_user_wrote_stays():
    own = (ColumnInfo(name="SCORE", description="ours"), ColumnInfo(name="state", meta={"a": 1}))
    model = described(Docs(show=False, node_color="gold"), own)
    assert model.docs == Docs(show=False, node_color="gold")
    assert model.columns["SCORE"].description == "ours" and "score" not in model.columns
    assert model.columns["state"].description == CARD_COLUMNS["state"]
    assert model.columns["state"].meta == {"a": 1}


def test_other_models_are_left_alone():
    model = described(materialized="view")
    assert model.docs == Docs() and model.columns == {}


def test_a_contracts_columns_are_those_of_the_query():
    promised = (ColumnInfo(name="visits", data_type="integer"),)
    model = described(columns=promised, contract=SimpleNamespace(enforced=True))
    assert list(model.columns) == ["visits"]
    assert model.docs.node_color == NODE_COLOR


def test_the_catalog_tells_models_from_relations():
    table = agate.Table([("ml", "churn"), ("ml", "customers")], ["table_schema", "table_name"])
    card = dict.fromkeys(FIELDS) | {"signature": "ml.predict_churn(x integer) -> text", "runtime": "sql"}
    found = with_stats(table, {("ml", "churn"): card}).rows
    assert found[0]["stats:model_signature:value"] == card["signature"]
    assert found[0]["stats:model_signature:include"] and found[0]["stats:model_runtime:value"] == "sql"
    assert not found[0]["stats:model_score:include"]  # a stub has none
    assert not any(value for name, value in found[1].dict().items() if name.endswith(":include"))


def test_a_catalog_without_models_is_the_same():
    table = agate.Table([("ml", "customers")], ["table_schema", "table_name"])
    assert with_stats(table, {("ml", "churn"): {}}) is table
