"""Columns of the query as arguments of the function."""

from __future__ import annotations

import pytest
from postgres_ml.contract.column import Column, as_arguments
from postgres_ml.snapshot.copy import KINDS


@pytest.mark.parametrize("sql_type", sorted(KINDS))
def test_numbers_and_strings_become_the_widest_type(sql_type: str) -> None:
    kind = KINDS[sql_type]
    (argument,) = as_arguments([Column("a", sql_type, kind)])
    assert argument == Column("a", {"number": "double precision", "text": "text"}.get(kind, sql_type), kind)


def test_enums_stay() -> None:
    mood = Column("mood", 'ml."mood é"', "text")
    assert as_arguments([mood]) == (mood,)
