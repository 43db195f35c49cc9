"""Packing pipelines, and telling pickles that could run code."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
from postgres_ml.contract.column import Column
from postgres_ml.contract.exceptions import ArtifactError, UnsupportedModelError
from postgres_ml.serve.artifact import one_thread, pack
from postgres_ml.serve.audit import load
from sklearn.ensemble import RandomForestClassifier, VotingClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder


def test_every_n_jobs_is_one() -> None:
    frame, target = pd.DataFrame({"x": [0.0, 1.0, 2.0, 3.0]}), [0, 1, 0, 1]
    inner = RandomForestClassifier(2, n_jobs=2)
    voting = VotingClassifier([("f", inner), ("k", KNeighborsClassifier(1, n_jobs=-1))], n_jobs=2)
    voting.fit(frame, target)
    one_thread(voting)
    assert voting.n_jobs == 1
    assert {estimator.n_jobs for estimator in voting.estimators_} == {1}


def test_what_can_not_be_pickled_is_refused() -> None:
    frame = pd.DataFrame({"x": [1.0, 2.0]})
    transformer = FunctionTransformer(lambda values: values).fit(frame)
    with pytest.raises(UnsupportedModelError, match="importable from a module"):
        pack(transformer, [Column("x", "real", "number")], "real", None, frame)


class Code:
    def __reduce__(self) -> tuple[object, ...]:
        return os.system, ("touch never",)


@pytest.mark.parametrize("save", [joblib.dump, lambda value, path: path.write_bytes(pickle.dumps(value))])
class TestAudit:
    def test_estimators_pass(self, save, tmp_path: Path) -> None:
        encoder = OneHotEncoder().fit(pd.DataFrame({"t": pd.Series(["a", "b"], dtype=object)}))
        forest = RandomForestClassifier(3).fit([[0.0], [1.0]], [0, 1])
        save([encoder, forest], tmp_path / "good.joblib")
        again = load(tmp_path / "good.joblib", trust=False)
        assert again[0].categories_[0].tolist() == ["a", "b"]
        assert again[1].predict([[1.0]]).tolist() == forest.predict([[1.0]]).tolist()

    @pytest.mark.parametrize(
        "hostile",
        [Code(), np.array([Code(), None], dtype=object), {"a": [Code()]}],
        ids=["alone", "in an array of objects", "nested"],
    )
    def test_code_does_not(
        self, save, tmp_path: Path, hostile: object, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        save(hostile, tmp_path / "bad.joblib")
        with pytest.raises(ArtifactError, match=r"could run code .* names posix\.system.*trust: true"):
            load(tmp_path / "bad.joblib", trust=False)
        assert not Path("never").exists()

    def test_functions_of_known_libraries_do_not(self, save, tmp_path: Path) -> None:
        save(np.memmap, tmp_path / "bad.joblib")  # opens, and may cut, any file
        with pytest.raises(ArtifactError, match="memmap"):
            load(tmp_path / "bad.joblib", trust=False)

    def test_trusted(self, save, tmp_path: Path) -> None:
        save(np.memmap, tmp_path / "odd.joblib")
        assert load(tmp_path / "odd.joblib", trust=True) is np.memmap


def test_lightgbm_is_needed_for_its_own_files_only(tmp_path: Path) -> None:
    joblib.dump(RandomForestClassifier(3).fit([[0.0], [1.0]], [0, 1]), tmp_path / "forest.joblib")
    (tmp_path / "boosted.txt").write_text("tree")
    program = (
        "import sys; sys.modules['lightgbm'] = None\n"
        "from pathlib import Path; from postgres_ml.external import load\n"
        "print(type(load.read_file(Path('forest.joblib'), False)).__name__)\n"
        "try: load.read_file(Path('boosted.txt'), False)\n"
        "except load.ArtifactError as error: print(error)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert ran.stdout.startswith("RandomForestClassifier\nsource boosted.txt needs the package lightgbm")


def test_damaged_and_missing_files(tmp_path: Path) -> None:
    (tmp_path / "bad.joblib").write_bytes(b"no pickle")
    with pytest.raises(ArtifactError, match="can't be loaded as a pickle, joblib or skops file"):
        load(tmp_path / "bad.joblib", trust=False)
    with pytest.raises(ArtifactError, match="there is no such file"):
        load(tmp_path / "gone.joblib", trust=False)
