"""Files that would end, fill or hold up the process that loads them: each is one error of one kind."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import xgboost
from postgres_ml.contract.exceptions import ArtifactError
from postgres_ml.external.load import read_file
from postgres_ml.serve import trial
from postgres_ml.serve.audit import load
from postgres_ml.serve.audited_pickle import read
from sklearn.linear_model import Ridge
from sklearn.neighbors import KDTree, KNeighborsRegressor
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeRegressor
from support import hostile_readers as readers

SMALL = trial.Limits(memory=300 * trial.MEGABYTE, seconds=2)
X = np.random.default_rng(0).normal(size=(60, 3))


@pytest.fixture(scope="module", autouse=True)
def trials() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))  # where the readers are found
        trial.close()
        yield
        trial.close()


@pytest.mark.parametrize(
    ("reader", "text"),
    [
        (readers.leaves, r"m\.pkl can't be loaded \(exit status 0\)"),
        (readers.exits, r"SystemExit: bye"),
        (readers.raises_something, r"LookupError: odd"),
        (readers.aborts, "by the signal SIGABRT: is it complete"),
        (readers.misleads, "by the signal SIGABRT: is it complete"),
        (readers.takes_memory, "more than 300 MB of memory"),
        (readers.computes, "more than 2 s to load"),
        (readers.waits, "more than 2 s to load"),
        (readers.connects, "does what no model needs when it is loaded .socket.connect"),
        (readers.looks_up, "socket.getaddrinfo"),
        (readers.starts_a_program, "subprocess.Popen"),
        (readers.hides_that_it_starts_a_program, "os.system"),
        (readers.ends_by_signal, "os.kill"),
        (readers.writes, "open .*written"),
    ],
)
def test_what_a_file_may_not_do(tmp_path: Path, reader: Callable[[Path], Any], text: str) -> None:
    path = tmp_path / "m.pkl"
    path.write_bytes(b"x")
    with pytest.raises(ArtifactError, match=text):
        trial.check(path, reader, SMALL)
    assert not (tmp_path / "written").exists()
    trial.check(path, readers.fits, SMALL)  # the next file is loaded as if nothing had been


def test_it_has_no_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trial.close()
    for name in ("PGPASSWORD", "AWS_SECRET_ACCESS_KEY", "HTTPS_PROXY", "MLFLOW_TRACKING_TOKEN", "SECRET"):
        monkeypatch.setenv(name, "x")
    path = tmp_path / "m.pkl"
    path.write_bytes(b"x")
    trial.check(path, readers.tells_its_environment, SMALL)


def bomb_of(compress: tuple[str, int], path: Path) -> None:
    joblib.dump(np.zeros(3 * 2**27), path, compress=compress)  # 3 GB, as a few MB or less


@pytest.mark.parametrize("compress", [("zlib", 9), ("xz", 1)], ids=["zlib", "lzma"])
@pytest.mark.exhaustive
def test_a_joblib_bomb(tmp_path: Path, compress: tuple[str, int]) -> None:
    path = tmp_path / "bomb.joblib"
    bomb_of(compress, path)
    with pytest.raises(ArtifactError, match=r"bomb\.joblib"):
        load(path, trust=False)


def test_a_zip_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bomb.skops"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("0.npy", bytes(10 * trial.MEGABYTE))
        archive.writestr("schema.json", "{}")
    monkeypatch.setattr(trial, "LEAST_MEMORY", trial.MEGABYTE)
    with pytest.raises(ArtifactError, match="more than a file of this size may"):
        read(path)


def with_nodes(change: Callable[[Any], None]) -> bytes:
    """Return the pickle of a tree whose nodes were changed."""
    fitted = DecisionTreeRegressor(max_depth=3).fit(X, X[:, 0])
    state = fitted.tree_.__getstate__()
    nodes = state["nodes"].copy()
    change(nodes)
    fitted.tree_.__setstate__({**state, "nodes": nodes})
    return pickle.dumps(fitted)


def first(field: str, value: int) -> Callable[[Any], None]:
    def change(nodes: Any) -> None:
        nodes[field][0] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        *(first("left_child", 10**9), first("left_child", 0), first("right_child", -7)),
        *(first("feature", 3), first("feature", -1), first("right_child", 1), first("left_child", -1)),
    ],
)
def test_a_tree_that_leads_out_of_itself(tmp_path: Path, change: Callable[[Any], None]) -> None:
    path = tmp_path / "tree.pkl"
    path.write_bytes(with_nodes(change))
    with pytest.raises(ArtifactError, match=r"tree\.pkl can't be loaded .*damaged"):
        load(path, trust=False)


def test_neighbours_out_of_the_table(tmp_path: Path) -> None:
    fitted = KNeighborsRegressor(algorithm="kd_tree").fit(X, X[:, 0])
    tree = fitted._tree
    assert isinstance(tree, KDTree)
    state = list(tree.__getstate__())
    state[1] = state[1] + 10**9
    tree.__setstate__(tuple(state))
    path = tmp_path / "near.pkl"
    path.write_bytes(pickle.dumps(fitted))
    with pytest.raises(ArtifactError, match=r"near\.pkl can't be loaded .*neighbours"):
        load(path, trust=False)


def test_a_support_vector_machine_without_its_vectors(tmp_path: Path) -> None:
    fitted = SVC().fit(X, X[:, 0] > 0)
    fitted._n_support = fitted._n_support + 1000
    path = tmp_path / "machine.pkl"
    path.write_bytes(pickle.dumps(fitted))
    with pytest.raises(ArtifactError, match=r"machine\.pkl can't be loaded .*without its vectors"):
        load(path, trust=False)


def test_formats_without_code_are_tried_too(tmp_path: Path) -> None:
    path = tmp_path / "model.ubj"
    xgboost.XGBRegressor(n_estimators=2).fit(X, X[:, 0]).save_model(path)
    whole = path.read_bytes()
    assert read_file(path, trust=False).predict(X).shape == (60,)
    for cut in range(0, len(whole), 97):
        path.write_bytes(whole[:cut])
        with pytest.raises(ArtifactError, match=r"model\.ubj"):
            read_file(path, trust=False)


def test_a_trial_that_has_ended_says_so(tmp_path: Path) -> None:
    path = tmp_path / "m.pkl"
    path.write_bytes(pickle.dumps(Ridge().fit(X, X[:, 0])))
    load(path, trust=False)
    trial._keeper().process.kill()
    trial._keeper().process.wait()
    with pytest.raises(ArtifactError, match="has ended"):
        load(path, trust=False)
    assert load(path, trust=False).predict(X).shape == (60,)
