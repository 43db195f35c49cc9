"""Train the frozen LightGBM models and write down what LightGBM itself predicts; needs lightgbm (4.7 was used).

Run: python tests/unit/lower/lightgbm/make.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
from postgres_ml.lower import parse_pipeline
from postgres_ml.program.adversarial import adversarial_rows
from postgres_ml.program.program import Input

HERE = Path(__file__).parent
INPUTS = (
    Input("code", "boolean", "boolean"),
    Input("x", "double precision", "number"),
    Input("z", "real", "number"),
)
COMMON: dict[str, Any] = {
    "n_estimators": 4, "num_leaves": 5, "min_child_samples": 5, "verbose": -1, "n_jobs": 1, "random_state": 0,
}  # fmt: skip
MODELS: dict[str, tuple[type, dict[str, Any], str]] = {
    "binary": (lightgbm.LGBMClassifier, {}, "label"),
    "categorical": (lightgbm.LGBMClassifier, {"min_data_per_group": 3, "cat_smooth": 1}, "label"),
    "multiclass": (lightgbm.LGBMClassifier, {}, "three"),
    "regression": (lightgbm.LGBMRegressor, {}, "number"),
    "no_missing": (lightgbm.LGBMRegressor, {"use_missing": False}, "number"),
    "poisson": (lightgbm.LGBMRegressor, {"objective": "poisson"}, "count"),
    "forest": (
        lightgbm.LGBMRegressor,
        {"boosting_type": "rf", "subsample": 0.7, "subsample_freq": 1},
        "number",
    ),
}


def main() -> None:
    source = np.random.default_rng(0)
    X = np.column_stack(
        [source.integers(0, 2, 300), np.round(source.normal(size=300), 2), source.normal(size=300)]
    )
    X[source.random(X.shape) < 0.1] = np.nan
    signal = np.nan_to_num(X) @ [1.0, 1.0, -0.5] + source.normal(scale=0.3, size=300)
    targets = {
        "number": signal,
        "count": np.floor(np.exp(signal / 2)),
        "label": np.where(signal > 0.5, "yes", "no"),
        "three": np.array(["a", "b", "c"])[np.digitize(signal, [0.0, 1.0])],
    }
    for name, (cls, options, target) in MODELS.items():
        categorical = [0] if name == "categorical" else "auto"
        estimator = cls(**COMMON, **options).fit(X, targets[target], categorical_feature=categorical)
        is_classifier = cls is lightgbm.LGBMClassifier
        program = parse_pipeline(estimator, INPUTS, "text" if is_classifier else "double precision")
        columns = adversarial_rows(program, 0, 120)
        rows = np.array([[np.nan if v is None else float(v) for v in columns[i.name]] for i in INPUTS]).T
        record = {
            "classes": estimator.classes_.tolist() if is_classifier else None,
            "columns": {key: [_text(v) for v in values] for key, values in columns.items()},
            "predictions": estimator.predict(rows).tolist(),
            "probabilities": estimator.predict_proba(rows).tolist() if is_classifier else None,
            "raw_scores": estimator.predict(rows, raw_score=True).tolist(),
        }
        (HERE / f"{name}.txt").write_text(estimator.booster_.model_to_string(), encoding="utf-8")
        (HERE / f"{name}.json").write_text(json.dumps(record), encoding="utf-8")


def _text(value: Any) -> Any:
    """Return the value as JSON has it; NaN and infinities as text."""
    return value if not isinstance(value, float) or np.isfinite(value) else repr(value)


if __name__ == "__main__":
    main()
