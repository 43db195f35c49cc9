"""Trains concrete.ubj, as somebody might who knows nothing of dbt: python brought/train_elsewhere.py."""

from pathlib import Path

import pandas as pd
import xgboost

HERE = Path(__file__).parent
rows = pd.read_csv(HERE / "../../seeds/concrete_mixtures.csv")
train = rows[rows["mixture_id"] % 5 != 0]
model = xgboost.XGBRegressor(n_estimators=60, max_depth=3, learning_rate=0.3, n_jobs=1)
model.fit(train[["cement", "water", "age"]].astype(float), train["compressive_strength"])
model.save_model(HERE / "concrete.ubj")
