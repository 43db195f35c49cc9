"""What Python knows of the catalog is what the macros create."""

from __future__ import annotations

import re
from pathlib import Path

from dbt.adapters.postgres_ml.build.preflight import LAYOUT
from dbt.adapters.postgres_ml.config.dbt_docs import CARD_COLUMNS

CATALOG = Path(__file__).parents[3] / "macros" / "catalog"


def test_the_layout_is_the_macros() -> None:
    text = (CATALOG / "create.sql").read_text(encoding="utf-8")
    assert re.findall(r"postgres_ml__catalog_layout\(\) %}{{ return\((\d+)\) }}", text) == [str(LAYOUT)]


def test_the_cards_columns_are_the_macros() -> None:
    text = (CATALOG / "card.sql").read_text(encoding="utf-8")
    [selected] = re.findall(r"macro postgres_ml__card_query.*?select(.*?)from postgres_ml", text, re.DOTALL)
    columns = {re.split(r"\s+", item.strip())[-1] for item in selected.split(",")}
    assert columns == set(CARD_COLUMNS)
