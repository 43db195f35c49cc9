"""Encoders of all rows, fitted without having them in memory.

Input: an unfitted ColumnTransformer, categories with their numbers of rows, and a sample of the rows. Output:
the fitted one. Of text it is the one that all rows give. What else is learned of numbers (medians, means and
deviations before a linear model) is that of the sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from postgres_ml.features.column_facts import fit_categories
from postgres_ml.features.feature_columns import FeatureColumns
from postgres_ml.features.preprocess import MIN_CATEGORY_ROWS
from postgres_ml.out_of_core.rows import Look


def fitted_columns(
    transformer: Any, columns: FeatureColumns, look: Look, sides: Sequence[int], sample: pd.DataFrame
) -> Any:
    """Return the transformer, fitted on rows that teach it what the rows on these sides would.

    Parameters
    ----------
    sample : some rows of these sides
    """
    counts = {name: look.of_sides(name, sides) for name in columns.texts}
    return fit_categories(transformer, counts, sample, MIN_CATEGORY_ROWS, least=len(sample))
