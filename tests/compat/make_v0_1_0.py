"""Wrote tests/compat/v0_1_0: pickles as release 0.1.0 made them. Run with that release installed, never again.

python tests/compat/make_v0_1_0.py tests/compat/v0_1_0
"""

import sys
from pathlib import Path

import cloudpickle
import joblib
import numpy as np
import pandas as pd
from postgres_ml.data.frame_reader import FrameReader
from postgres_ml.estimators import BlendedClassifier, LabelEncodedClassifier, LogTargetRegressor
from postgres_ml.networks import NetworkClassifier, NetworkRegressor
from postgres_ml.serving.registered_pyfunc import BoosterModel
from postgres_ml.transformers import PiecewiseLinear, QuantileNormal, RobustSmoothClip
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline

folder = Path(sys.argv[1])
i = np.arange(120)
frame = pd.DataFrame({"x": np.sin(i) * 3, "z": (i % 7) / 2.0})
target = np.where(frame["x"] + frame["z"] > 1, "yes", "no").astype(object)
amount = np.exp(frame["x"] / 4 + frame["z"] / 5)

network = Pipeline([("clip", RobustSmoothClip()), ("network", NetworkClassifier(n_epochs=2, random_state=0))])
linear = Pipeline([("normal", QuantileNormal()), ("linear", LogisticRegression())])
blend = BlendedClassifier([("network", network), ("linear", linear)], [0.25, 0.75], n_jobs=1)
classifier = Pipeline([("estimator", LabelEncodedClassifier(blend, 0.4))]).fit(frame, target)
regressor = Pipeline([("pieces", PiecewiseLinear()), ("ridge", LogTargetRegressor(Ridge()))]).fit(
    frame, amount
)
small = Pipeline([("network", NetworkRegressor(n_epochs=1, random_state=0))]).fit(frame, amount)

grades = np.array(["high", "low", "middle"], dtype=object)[np.digitize(amount, [1.0, 1.5])]
weighted = LabelEncodedClassifier(LogisticRegression(), factors=(1.0, 0.5, 2.0))
multiclass = Pipeline([("clip", RobustSmoothClip()), ("estimator", weighted)]).fit(frame, grades)

joblib.dump(multiclass, folder / "multiclass.joblib", compress=3)
joblib.dump(classifier, folder / "classifier.joblib", compress=3)
joblib.dump(regressor, folder / "regressor.joblib", compress=3)
joblib.dump(small, folder / "network.joblib", compress=3)
reader = FrameReader(names=("x", "z"))
registered = Pipeline([("frame", reader), *regressor.steps[:-1], ("model", BoosterModel(regressor[-1]))])
(folder / "registered.pkl").write_bytes(cloudpickle.dumps(registered))
frame.assign(
    label=classifier.predict(frame),
    yes=classifier.predict_proba(frame)[:, 1],
    amount=regressor.predict(frame),
    network=small.predict(frame),
    grade=multiclass.predict(frame),
).to_csv(folder / "predictions.csv", index=False, float_format="%.17g")
