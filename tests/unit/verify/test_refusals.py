"""A model that refuses what it should predict is not published."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from postgres_ml.contract.exceptions import ParityError
from postgres_ml.verify.refusals import check_plausible, row_by_row


def refuses(limit: float, error: Exception) -> Any:
    def predict(frame: pd.DataFrame) -> np.ndarray:
        if (frame["x"] < limit).any():
            raise error
        return frame["x"].to_numpy()

    return predict


FRAME = pd.DataFrame({"x": np.arange(200.0), "t": pd.Series([None] * 200, dtype=object)})


@pytest.mark.parametrize("error", [ValueError("too low"), TypeError("too low"), AttributeError("too low")])
def test_more_than_the_limit_stops_with_the_librarys_words(error: Exception) -> None:
    check_plausible(refuses(2, error).__call__, FRAME, 0.01)
    with pytest.raises(
        ParityError, match=r"refuses 3 of 200 rows .*x => 0.0, t => NULL.*library says: too low"
    ):
        check_plausible(refuses(3, error), FRAME, 0.01)


def test_all_rows_may_never_be_refused() -> None:
    check_plausible(refuses(199, ValueError("no")), FRAME, 1.0)
    with pytest.raises(ParityError, match="refuses 200 of 200 rows"):
        check_plausible(refuses(1000, ValueError("no")), FRAME, 1.0)
    check_plausible(refuses(1000, ValueError("no")), FRAME.head(0), 0.01)


def test_what_a_library_raises_for_a_row_is_a_refusal() -> None:
    for error in (ValueError("x"), TypeError("x"), KeyError("x"), ZeroDivisionError()):
        assert row_by_row(refuses(1, error), FRAME.head(3)) == [None, 1.0, 2.0]
