"""Numbers that double precision can't tell apart, as categories."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from postgres_ml.contract.column import Column
from postgres_ml.contract.config import ColumnSet
from postgres_ml.contract.exceptions import SpecError, TrainingDataError
from postgres_ml.features.exact_numbers import check_encoded
from postgres_ml.features.frame_types import as_fitted
from sklearn.preprocessing import OneHotEncoder

COLUMNS = (Column("account", "bigint", "number"), Column("name", "text", "text"))


def frame(greatest: float) -> pd.DataFrame:
    return pd.DataFrame({"account": [1.0, np.nan, -greatest], "name": ["a", None, "b"]})


def test_an_encoder_on_great_numbers_is_refused() -> None:
    encoded = (ColumnSet(("*",), ("OneHotEncoder",)),)
    with pytest.raises(TrainingDataError, match=r'"account" .* in 1 rows.*account::text'):
        check_encoded(COLUMNS, frame(2.0**53), encoded)
    check_encoded(COLUMNS, frame(2.0**53 - 1), encoded)
    check_encoded(COLUMNS, frame(2.0**60), (ColumnSet(("account",), ("StandardScaler",)),))


def test_a_model_that_has_learned_great_numbers_is_refused() -> None:
    ids = np.array([[2**53], [2**53 + 1]])
    with pytest.raises(SpecError, match=r'learned 9007199254740992 as a category of "account"'):
        as_fitted(OneHotEncoder().fit(ids), COLUMNS[:1])
    encoder = OneHotEncoder().fit(ids // 2)
    assert as_fitted(encoder, COLUMNS[:1]) is encoder
