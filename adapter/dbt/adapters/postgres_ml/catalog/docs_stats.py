"""What `dbt docs generate` says of a built model beside its columns: score, signature, version, runtime.

dbt's catalog takes any number of statistics of a relation, as columns `stats:<id>:<part>` beside those of
the relation's own columns; the site shows them under the model's details.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from postgres_ml.snapshot.copy import Cursor

Card = Mapping[str, Any]

IS_READABLE = (
    """select coalesce(has_table_privilege(to_regclass('postgres_ml.model_card')::oid, 'select'), false)"""
)
CARDS = """
select model_schema, model_name, version, state, to_char(trained_at, 'YYYY-MM-DD HH24:MI'), metric, score,
       n_holdout, model_schema || '.' || function_name || signature, runtime, est_rows_per_s
from postgres_ml.model_card
"""
FIELDS = (
    *("version", "state", "trained_at", "metric", "score", "n_holdout", "signature", "runtime"),
    "est_rows_per_s",
)


def _score(card: Card) -> str | None:
    if card["score"] is None:
        return None
    rows = f", on {card['n_holdout']:,} hold-out rows" if card["n_holdout"] else ""
    return f"{card['metric']} {card['score']:.4g}{rows}"


def _runtime(card: Card) -> str:
    speed = f", about {card['est_rows_per_s']:,} rows a second on one core" if card["est_rows_per_s"] else ""
    return f"{card['runtime']}{speed}"


#: id, label, description, value
STATS: tuple[tuple[str, str, str, Callable[[Card], str | None]], ...] = (
    ("model_score", "Score", "By the metric that the model was chosen by", _score),
    ("model_signature", "Signature", "How to call the function", lambda card: str(card["signature"])),
    (
        "model_version",
        "Version",
        "The training that serves",
        lambda card: f"{card['version']}, {card['state']}, trained {card['trained_at']}",
    ),
    ("model_runtime", "Runtime", "What computes a prediction", _runtime),
)


def read_cards(cursor: Cursor) -> dict[tuple[str, str], Card]:
    """Return the serving versions by schema and model; none where there is no catalog to read."""
    cursor.execute(IS_READABLE)
    if not cursor.fetchall()[0][0]:
        return {}
    cursor.execute(CARDS)
    return {
        (schema, model): dict(zip(FIELDS, fields, strict=True))
        for schema, model, *fields in cursor.fetchall()
    }


def with_stats(table: Any, cards: Mapping[tuple[str, str], Card]) -> Any:
    """Return dbt's catalog with the statistics of the models in it; the same table if it has none.

    Parameters
    ----------
    table : an agate table, with a row for each column of a relation
    """
    import agate

    def card_of(row: Mapping[str, Any]) -> Card | None:
        return cards.get((row["table_schema"], row["table_name"]))

    def columns(
        name: str, label: str, description: str, value: Callable[[Card], str | None]
    ) -> list[tuple[str, Any]]:
        def text(row: Mapping[str, Any]) -> str | None:
            card = card_of(row)
            return None if card is None else value(card)

        return [
            (f"stats:{name}:label", agate.Formula(agate.Text(), lambda row: label)),
            (f"stats:{name}:value", agate.Formula(agate.Text(), text)),
            (f"stats:{name}:description", agate.Formula(agate.Text(), lambda row: description)),
            (f"stats:{name}:include", agate.Formula(agate.Boolean(), lambda row: text(row) is not None)),
        ]

    if not any(card_of(row) for row in table.rows):
        return table
    return table.compute([added for stat in STATS for added in columns(*stat)])
