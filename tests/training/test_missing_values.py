"""NULL is what the fitted pipeline calls missing: every encoder and imputer, on every dtype of pandas.

The oracle is the library's own prediction on a frame made as the training's was. `FrameTypes` is what stands
between our frames and those.
"""

from __future__ import annotations

import inspect
import io
import itertools
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import xgboost
from postgres_ml.components.frame_reader import FrameTypes
from postgres_ml.contract.column import Column
from postgres_ml.contract.exceptions import SpecError, UnsupportedModelError
from postgres_ml.external.boosters import as_estimator
from postgres_ml.features.frame_types import as_fitted
from postgres_ml.lower import parse_pipeline
from postgres_ml.program import interpret
from postgres_ml.publish.deployment import inputs_of
from postgres_ml.serve import unpack
from postgres_ml.serve.artifact import pack
from postgres_ml.track.pyfunc import Predictor
from postgres_ml.track.registered_model import with_reader
from postgres_ml.verify.rows import as_frame, row_by_row
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, TargetEncoder

N_ROWS = 120
Dtype = Callable[[pd.Series], pd.Series]


def _objects(null: Any) -> Dtype:
    return lambda s: s.astype(object).where(s.notna(), null)


def _to(dtype: Any, *more: Any) -> Dtype:
    def convert(values: pd.Series) -> pd.Series:
        for one in (dtype, *more):
            values = values.astype(one)
        return values

    return convert


def _strings() -> dict[str, Dtype]:
    """Every string type; before 2.3 pandas has no choice of the missing value."""
    storages = ("python", "pyarrow")
    if "na_value" not in inspect.signature(pd.StringDtype).parameters:
        return {f"str, {storage}": _to(pd.StringDtype(storage)) for storage in storages}
    return {
        f"str, {storage}, {na}": _to(pd.StringDtype(storage, na_value=na))
        for storage, na in itertools.product(storages, (np.nan, pd.NA))
    }


#: before 3 pandas has no type of this name, and makes None the text 'None'
STR = "str" if pd.Series([None], dtype=object).astype("str").isna().all() else "string"
TEXTS: dict[str, Dtype] = {
    "objects, None": _objects(None),
    "objects, NaN": _objects(np.nan),
    "category": _to("category"),
    "category of str": _to(STR, "category"),
    "arrow": _to(pd.ArrowDtype(pa.string())),
    **_strings(),
}
NUMBERS: dict[str, Dtype] = {
    "objects, None": _objects(None),
    "float": _to(float),
    "Int64": _to("Int64"),
    "Float64": _to("Float64"),
    "category": _to("Int64", "category"),
    "arrow": _to("Int64", pd.ArrowDtype(pa.int64())),
}
BOOLEANS: dict[str, Dtype] = {
    "objects, None": _objects(None),
    "boolean": _to("boolean"),
    "category": _to("boolean", "category"),
    "arrow": _to("boolean", pd.ArrowDtype(pa.bool_())),
}
#: values of the training, and what is asked besides them
VALUES: dict[str, tuple[list[Any], list[Any]]] = {
    "text": (["a", "b", "c", "", None], ["zzz", "A"]),
    "number": ([1, 2, 3, None], [9]),
    "boolean": ([True, False, None], []),
}
SQL_TYPES = {"text": "text", "number": "integer", "boolean": "boolean"}
ENCODERS = [
    *(
        OneHotEncoder(handle_unknown=unknown, drop=drop, min_frequency=frequency)
        for unknown in ("error", "ignore", "infrequent_if_exist")
        for drop in (None, "first", "if_binary")
        for frequency in (None, 15)
    ),
    *(
        OrdinalEncoder(
            handle_unknown=unknown, unknown_value=code, encoded_missing_value=-2, min_frequency=frequency
        )
        for unknown, code in (("error", None), ("use_encoded_value", -1), ("use_encoded_value", np.nan))
        for frequency in (None, 15)
    ),
    TargetEncoder(random_state=0),
]
MARKERS = (np.nan, None, pd.NA)


def _imputers(kind: str) -> Iterator[Any]:
    yield None
    yield FunctionTransformer()
    fill, others = ("missing", ("", "c")) if kind == "text" else (7, (2,))
    strategies = ("constant", "most_frequent") if kind == "text" else ("constant", "most_frequent", "median")
    for strategy, marker, indicator in itertools.product(strategies, (*MARKERS, *others), (False, True)):
        value = fill if strategy == "constant" else None
        yield SimpleImputer(
            strategy=strategy, missing_values=marker, fill_value=value, add_indicator=indicator
        )


def _answer(predict: Callable[[pd.DataFrame], Any], frame: pd.DataFrame) -> float | None:
    try:
        return float(predict(frame)[0])
    except (ValueError, TypeError):  # pandas.NA raises the latter
        return None


class Asked:
    """One column of a kind and dtype: rows to fit on, and values to ask with the library's answers."""

    def __init__(self, kind: str, dtype: Dtype) -> None:
        self.seen, more = VALUES[kind]
        self.asked = [*self.seen, *more]
        self.columns = [Column("x", SQL_TYPES[kind], kind)]  # type: ignore[arg-type]
        self._kind, self._dtype = kind, dtype
        random = np.random.default_rng(0)
        codes = np.concatenate([np.arange(len(self.seen)), random.integers(0, len(self.seen), N_ROWS)])
        self.rows = self.frame([self.seen[code] for code in codes])
        self.target = 10.0 * codes + random.normal(size=len(codes))

    def frame(self, values: Sequence[Any]) -> pd.DataFrame:
        raw = {"text": "object", "number": "Int64", "boolean": "boolean"}[self._kind]
        return pd.DataFrame({"x": self._dtype(pd.Series(list(values), dtype=raw))})

    def library(self, pipeline: Any, value: Any) -> float | None:
        """Return its prediction in the smallest frame that it takes; None where it takes none."""
        answers = (
            _answer(pipeline.predict, self.frame(rows))
            for rows in ([value], [value, None, self.seen[0]], [value, self.seen[0]])
        )
        return next((answer for answer in answers if answer is not None), None)


def _fitted(kind: str, dtype: Dtype, share: int) -> Iterator[tuple[str, Any, Asked]]:
    """Yield every n-th pipeline that the library itself can fit and predict NULL with."""
    asked = Asked(kind, dtype)
    combinations = list(itertools.product(_imputers(kind), ENCODERS))
    for imputer, encoder in combinations[::share]:
        pipeline = make_pipeline(
            *(clone(step) for step in (imputer, encoder) if step is not None), Ridge(1e-3)
        )
        try:
            pipeline.fit(asked.rows, asked.target)
        except (ValueError, TypeError):
            continue
        yield f"{imputer} {encoder}", pipeline, asked


def _agrees(found: Sequence[Any], expected: Sequence[float | None], what: str) -> None:
    for one, other in zip(found, expected, strict=True):
        is_null = one is None or one != one
        assert is_null == (other is None), (what, found, expected)
        assert is_null or one == pytest.approx(other, abs=1e-6), (what, found, expected)


CASES = [
    *(("text", name) for name in TEXTS),
    *(("number", name) for name in NUMBERS),
    *(("boolean", name) for name in BOOLEANS),
]
DTYPES = {"text": TEXTS, "number": NUMBERS, "boolean": BOOLEANS}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("kind", "name"), CASES)
def test_null_is_what_the_pipeline_learned(kind: str, name: str) -> None:
    n_tried = 0
    for what, pipeline, asked in _fitted(kind, DTYPES[kind][name], share=13):
        n_tried += 1
        expected = [asked.library(pipeline, value) for value in asked.asked]
        published = as_fitted(pipeline, asked.columns)
        frame = as_frame({"x": asked.asked}, asked.columns)
        _agrees(row_by_row(published.predict, frame), expected, f"pipeline {what}")
        try:
            program = parse_pipeline(published, inputs_of(asked.columns), "double precision")
        except UnsupportedModelError:  # an encoder behind an indicator, say: it runs as it is
            continue
        _agrees(interpret.predict(program, {"x": asked.asked}), expected, f"program {what}")
    assert n_tried > 1 or "NA" in name or name == "arrow"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("kind", "name"), CASES)
def test_runtime_python_and_the_registered_model_agree(kind: str, name: str) -> None:
    for what, pipeline, asked in itertools.islice(_fitted(kind, DTYPES[kind][name], share=61), 4):
        expected = [asked.library(pipeline, value) for value in asked.asked]
        published = as_fitted(pipeline, asked.columns)
        sample = as_frame({"x": asked.seen}, asked.columns)
        packed = pack(published, asked.columns, "double precision", None, sample)
        scorer = unpack.load(zipfile.ZipFile(io.BytesIO(packed.content)))
        _agrees([scorer.predict([value]) for value in asked.asked], expected, f"row {what}")
        if kind == "text":
            _agrees(scorer.batch(b"", asked.asked), expected, f"batch {what}")
        registered = Predictor(with_reader(published, asked.columns))
        rows = pd.DataFrame({"x": pd.Series(asked.asked, dtype=object)})
        found = [next(iter(registered.predict(rows.iloc[[number]]))) for number in range(len(rows))]
        _agrees(found, expected, f"registered {what}")


FITS: dict[str, Callable[[pd.DataFrame, Any], Any]] = {
    "xgboost": lambda X, y: xgboost.XGBRegressor(n_estimators=8, enable_categorical=True).fit(X, y),
    "xgboost booster": lambda X, y: xgboost.train(
        {}, xgboost.DMatrix(X, y, enable_categorical=True), num_boost_round=8
    ),
    "lightgbm": lambda X, y: lightgbm.LGBMRegressor(n_estimators=8, verbose=-1).fit(X, y),
    "lightgbm booster": lambda X, y: lightgbm.train({"verbose": -1}, lightgbm.Dataset(X, y), 8),
    "hist": lambda X, y: HistGradientBoostingRegressor(max_iter=8, categorical_features="from_dtype").fit(
        X, y
    ),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("library", FITS)
@pytest.mark.parametrize("kind", ["text", "number", "boolean"])
def test_boosters_get_their_categories(library: str, kind: str) -> None:
    if library.startswith("xgboost") and kind == "boolean":
        pytest.skip("xgboost takes categories that are texts or NumPy's numbers")
    i = np.arange(600)
    known, unseen = VALUES[kind]
    asked = [*known, *unseen]
    raw = {"text": "object", "number": "Int64", "boolean": "boolean"}[kind]

    def frame(values: Sequence[Any]) -> pd.DataFrame:
        typed = pd.Series(list(values), dtype=raw)
        cat = typed.astype("category")
        if kind == "number":  # NumPy's dtype, which is what xgboost takes
            cat = cat.cat.rename_categories(cat.cat.categories.astype(np.int16))
        return pd.DataFrame({"cat": cat, "amt": np.resize(i % 7 / 100, len(cat))})

    code = i % len(known)
    trained = frame([known[c] for c in code])
    target = 100.0 * (code == len(known) - 1) + 10 * code + trained["amt"]
    model = FITS[library](trained, target)

    def own(rows: pd.DataFrame) -> Any:
        is_booster = library == "xgboost booster"
        return model.predict(xgboost.DMatrix(rows, enable_categorical=True) if is_booster else rows)

    def answer(value: Any) -> float | None:
        answers = (_answer(own, frame(rows)) for rows in ([value], [value, *known[:2]]))
        return next((found for found in answers if found is not None), None)

    expected = [answer(value) for value in asked]
    assert None not in expected[: len(known)]
    columns = [Column("cat", SQL_TYPES[kind], kind), Column("amt", "double precision", "number")]  # type: ignore[arg-type]
    published = as_fitted(as_estimator(model, "model", None, labelled=False), columns)
    cells = {"cat": asked, "amt": [0.0] * len(asked)}
    found = row_by_row(published.predict, as_frame(cells, columns))
    np.testing.assert_allclose(np.array(found, float), np.array(expected, float), rtol=1e-6)
    packed = pack(published, columns, "double precision", None, as_frame(cells, columns))
    scorer = unpack.load(zipfile.ZipFile(io.BytesIO(packed.content)))
    _agrees([scorer.predict([value, 0.0]) for value in asked], found, library)
    if library.startswith("xgboost"):
        with pytest.raises(UnsupportedModelError, match=r"encoded by xgboost itself|of dtype category"):
            parse_pipeline(published, inputs_of(columns), "double precision")
    else:
        program = parse_pipeline(published, inputs_of(columns), "double precision")
        _agrees(interpret.predict(program, cells), found, library)


def test_a_column_with_both_missing_values_is_refused() -> None:
    rows = pd.DataFrame({"x": pd.Series(["a", None, np.nan, "b"], dtype=object)})
    encoder = OneHotEncoder(handle_unknown="ignore")
    pipeline = make_pipeline(encoder, Ridge()).fit(rows, [1.0, 2.0, 3.0, 4.0])
    with pytest.raises(SpecError, match='NULL in "x" could be None or NaN'):
        as_fitted(pipeline, [Column("x", "text", "text")])


def test_categories_that_xgboost_has_damaged_are_refused() -> None:
    words = np.array(["a", "bé", "ça"], dtype=object)[np.arange(60) % 3]
    rows = pd.DataFrame({"x": pd.Series(words, dtype=object).astype("category")})
    model = xgboost.XGBRegressor(n_estimators=2, enable_categorical=True).fit(rows, np.arange(60) % 3)
    with pytest.raises(SpecError, match="letters beyond ASCII"):
        as_fitted(model, [Column("x", "text", "text")])


def test_a_pipeline_of_our_own_frames_is_left_alone() -> None:
    rows = pd.DataFrame(
        {"t": pd.Series(["a", None, "b", "a"], dtype=object), "n": [1.0, np.nan, 2.0, 3.0]}, index=range(4)
    )
    columns = ColumnTransformer(
        [("t", OneHotEncoder(handle_unknown="ignore"), ["t"]), ("n", SimpleImputer(), ["n"])]
    )
    pipeline = make_pipeline(columns, Ridge()).fit(rows, [1.0, 2.0, 3.0, 4.0])
    assert as_fitted(pipeline, [Column("t", "text", "text"), Column("n", "real", "number")]) is pipeline


def test_the_step_takes_frames_only() -> None:
    with warnings.catch_warnings(), pytest.raises(TypeError, match="a frame is needed"):
        warnings.simplefilter("ignore")
        FrameTypes(("x",), {"x": "nan"}).transform(np.zeros((1, 1)))
