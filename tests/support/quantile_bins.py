"""KBinsDiscretizer by quantiles in every release of scikit-learn: from 1.7 on it warns without a method."""

from __future__ import annotations

import inspect

from sklearn.preprocessing import KBinsDiscretizer

METHOD = {"quantile_method": "averaged_inverted_cdf"}


def quantile_bins(n_bins: int, encode: str) -> KBinsDiscretizer:
    has_method = "quantile_method" in inspect.signature(KBinsDiscretizer).parameters
    return KBinsDiscretizer(n_bins, encode=encode, **(METHOD if has_method else {}))
