"""Queries of functional tests on the schema of their dbt project."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def selector(connection: Any, schema: str) -> Callable[[str], list[tuple[Any, ...]]]:
    """Return a function that runs a query with the schema as search_path, and returns its rows, if any."""

    def run(query: str) -> list[tuple[Any, ...]]:
        with connection.cursor() as cursor:
            cursor.execute(f'set search_path to "{schema}"')
            cursor.execute(query)
            return cursor.fetchall() if cursor.description else []

    return run
