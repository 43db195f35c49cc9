"""AUTO on free text: which columns are words, what the search makes of them, and what is published."""

from __future__ import annotations

import dataclasses
import io
import pickle
import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from postgres_ml.components.text import TextVectorizer
from postgres_ml.contract.config import ColumnSet, Settings
from postgres_ml.contract.exceptions import SpecError
from postgres_ml.contract.job import TrainingJob
from postgres_ml.features.feature_columns import choose_columns
from postgres_ml.features.problem import resolve
from postgres_ml.fit.fit import fit_pipeline, fold_pipeline
from postgres_ml.fit.task import Deadline, Task
from postgres_ml.lower import parse_pipeline
from postgres_ml.preparation import prepare
from postgres_ml.process.report import Report
from postgres_ml.program.encoders import Characters, Words
from postgres_ml.program.interpret import predict
from postgres_ml.publish.deployment import inputs_of
from postgres_ml.search import search
from postgres_ml.search.encoded_rows import EncodedRows
from postgres_ml.search.optuna_sampler import Sampler
from postgres_ml.serve.pickle_names import refusal
from postgres_ml.snapshot.digest import training_config
from postgres_ml.snapshot.rows import TrainingRows
from postgres_ml.track.card.words import telling_terms
from sklearn.linear_model import LogisticRegression
from support.training import column, make_spec

N = 400
WORDS = [
    "the",
    "of",
    "a",
    "to",
    "and",
    "is",
    "it",
    "was",
    "very",
    "not",
    "that",
    "this",
    "with",
    "but",
    "on",
    "for",
    "as",
    "have",
    "be",
    "are",
]
COLUMNS = (column("x"), column("notes", "text"), column("code", "text"), column("plan", "text"))
TARGET = column("good", "text")


def make_rows(n: int = N, seed: int = 0) -> TrainingRows:
    """Rows of which a pair of words tells the label, a number some of it, and the words alone little."""
    source = np.random.default_rng(seed)
    notes, labels = [], []
    for _ in range(n):
        words = source.choice(WORDS, 9).tolist()
        yes = source.random() < 0.5
        words[3:5] = ["works", "well"] if yes else ["well", "works"]
        notes.append(", ".join(words).replace("works, well", "Works—WELL"))
        labels.append(yes)
    target = np.where(np.array(labels) ^ (source.random(n) < 0.05), "yes", "no")
    frame = pd.DataFrame({"x": np.array(labels) + source.normal(size=n)})
    frame["notes"] = pd.Series(notes, dtype=object)
    frame["code"] = pd.Series([f"K-{k}" for k in range(n)], dtype=object)
    frame["plan"] = pd.Series(source.choice(["basic plan for one", "plus"], n), dtype=object)
    return TrainingRows(
        frame, target.astype(object), np.sort(source.integers(0, 2**63, n, dtype=np.uint64) * 2), "0"
    )


def task_for(rows: TrainingRows, columns: Any = COLUMNS, **changes: Any) -> Task:
    settings = Settings(max_trials=changes.pop("max_trials", 4))
    spec = make_spec("good", settings=settings, **changes)
    chosen = choose_columns(columns, rows, [], count_words=True)
    return Task(spec, resolve(spec, TARGET, rows.target, []), chosen, 1, Deadline(600))


def quiet(text: str, fields: dict[str, Any] | None) -> None:
    """Take progress and do nothing."""


def test_sentences_are_words_and_neither_identifiers_nor_categories_are() -> None:
    rows, messages = make_rows(), list[str]()
    columns = choose_columns(COLUMNS, rows, messages, count_words=True)
    assert (columns.words, columns.texts, columns.numbers) == (("notes",), ("plan",), ("x",))
    assert "free text, of which words and pairs of words are counted: notes" in messages
    assert any('"code" (400 different texts in 400 rows)' in text for text in messages)
    left_out = choose_columns(COLUMNS, rows, [])
    assert (left_out.words, left_out.texts) == ((), ("plan",))
    rows.frame["notes"] = rows.frame["notes"].where(np.arange(N) % 3 == 0, "one of many that come again")
    both = choose_columns(COLUMNS, rows, [], count_words=True)
    assert both.words == ("notes",) and "notes" in both.texts, "a third of it differs: categories as well"


@pytest.mark.parametrize("model_type", ["linear_learner", "xgboost", "mlp"])
def test_each_kind_of_model_reads_words_and_its_program_predicts_the_same(model_type: str) -> None:
    rows = make_rows()
    task = task_for(rows, model_types=(model_type,), max_trials=1)
    choice = search(task, rows, quiet)
    pipeline = fit_pipeline(task, choice, rows, None)
    new = make_rows(300, seed=5)
    assert np.mean(pipeline.predict(new.frame) == new.target) > 0.85
    for fitted in (pipeline, fold_pipeline(task, choice, rows)):
        program = parse_pipeline(fitted, inputs_of(COLUMNS), "text")
        assert {Words, Characters} <= {type(step) for step in program.steps}
        found = predict(program, {name: new.frame[name].tolist() for name in new.frame})
        assert list(found) == fitted.predict(new.frame).tolist()


def test_words_alone_are_enough_for_a_blend_of_folds() -> None:
    rows = make_rows()
    rows = dataclasses.replace(rows, frame=rows.frame[["notes"]])
    task = task_for(rows, COLUMNS[1:2], model_types=("linear_learner", "xgboost"), max_trials=6)
    choice = search(task, rows, quiet)
    assert len(choice.trials) == 6
    for fitted in (fit_pipeline(task, choice, rows, None), fold_pipeline(task, choice, rows)):
        parse_pipeline(fitted, inputs_of(COLUMNS[1:2]), "text")
        assert np.mean(fitted.predict(rows.frame) == rows.target) > 0.9


def test_the_search_goes_on_with_networks_of_words_alone() -> None:
    rows = make_rows(200)
    rows = dataclasses.replace(rows, frame=rows.frame[["notes"]])
    task = task_for(rows, COLUMNS[1:2], model_types=("mlp",), max_trials=1)
    sampler = Sampler(task, search(task, rows, quiet).trials)
    assert {candidate.encoding for candidate in sampler.ask(3)} == {"quantile"}, "'scaled' is sparse"


def test_a_fold_learns_its_terms_from_its_own_rows() -> None:
    rows = make_rows()
    task = task_for(rows)
    encoded = EncodedRows(task, rows)
    split = encoded.folds.splits[0]
    train, valid = encoded.pair("scaled", split)
    linear = LogisticRegression(C=10).fit(train, encoded.codes[split.train])
    fitted = encoded.words("scaled", split)
    own = rows.take(np.isin(np.arange(N), split.train))
    expected = task.columns.word_columns[0].vectorizer(task.problem, for_linear=True)
    expected.fit(own.frame[["notes"]], task.problem.encode(own.target))
    assert fitted[-1].terms_ == expected.terms_
    words = fitted.transform(rows.frame).toarray()
    np.testing.assert_allclose(valid.toarray()[:, -words.shape[1] :], words[split.valid].astype(np.float32))
    assert linear.score(valid, encoded.codes[split.valid]) > 0.85
    assert encoded.pair("codes", split)[0].shape[1] == 1 + 1 + 39 + 300, "a number, a code, characters, terms"


def test_the_card_says_which_label_goes_with_a_term() -> None:
    rows = make_rows()
    task = task_for(rows, model_types=("linear_learner", "xgboost"), max_trials=3)
    pipeline = fit_pipeline(task, search(task, rows, quiet), rows, None)
    job = SimpleNamespace(target=TARGET)
    head, *lines = telling_terms(SimpleNamespace(pipeline=pipeline, rows=rows, task=task, job=job))
    assert head == ("column", "term", "rows with it", "label it goes with")
    assert {line[:2] for line in lines[:2]} == {("notes", "works well"), ("notes", "well works")}
    share = next(line for line in lines if line[1] == "works well")[3]
    assert re.fullmatch(r"yes: 9\d% of them, [45]\d% of all", share)
    none = SimpleNamespace(pipeline=LogisticRegression(), rows=rows, task=task, job=job)
    assert telling_terms(none) == []


def test_an_option_that_is_left_out_changes_no_digest() -> None:
    given = ColumnSet(("notes",), ("TextVectorizer",))
    config = training_config(make_spec("good", auto=False, preprocessors=(given,)))
    assert config["preprocessors"] == [{"columns": ["notes"], "transformers": ["TextVectorizer"]}]
    more = training_config(make_spec("good", preprocessors=(dataclasses.replace(given, min_df=2),)))
    assert more["preprocessors"][0]["min_df"] == 2


def test_a_fitted_vectorizer_is_loaded_without_trust() -> None:
    rows = make_rows()
    fitted = TextVectorizer(20).fit(rows.frame[["notes"]], rows.target)
    text = pickle.dumps(fitted)
    assert not [name for name in names_in(text) if refusal(*name)]
    loaded = pickle.loads(text)
    expected = fitted.transform(rows.frame[["notes"]]).toarray()
    np.testing.assert_array_equal(loaded.transform(rows.frame[["notes"]]).toarray(), expected)


def names_in(text: bytes) -> set[tuple[str, str]]:
    """Modules and names that a pickle loads."""
    found: set[tuple[str, str]] = set()

    class Recorder(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            found.add((module, name))
            return super().find_class(module, name)

    Recorder(io.BytesIO(text)).load()
    return found


@pytest.mark.parametrize(("runtime", "encoding"), [("sql", "LATIN1"), ("native", "LATIN1"), ("sql", "UTF8")])
def test_sql_splits_words_where_it_knows_the_characters(runtime: str, encoding: str) -> None:
    rows = make_rows()
    spec = make_spec("good", settings=Settings(min_rows=50), runtime=runtime)
    job = TrainingJob(spec, COLUMNS, TARGET, "", "", "", {}, "", encoding=encoding)
    report = Report(lambda level, text, fields=None: None)
    task = prepare(job, rows, Deadline(60), report).task
    assert bool(task.columns.words) == ((runtime, encoding) != ("sql", "LATIN1"))
    if not task.columns.words:
        refused = {
            "TextVectorizer": 'split "notes" into words',
            "TextStatistics": 'count "notes" by characters',
        }
        for name, what in refused.items():
            given = dataclasses.replace(spec, preprocessors=(ColumnSet(("notes",), (name,)),))
            with pytest.raises(SpecError, match=f"can't {what} .* encoding LATIN1: use runtime"):
                prepare(dataclasses.replace(job, spec=given), rows, Deadline(60), report)


def loud(n: int, seed: int) -> TrainingRows:
    """Rows whose target is whether a text was shouted, which its words do not tell."""
    rows = make_rows(n, seed=seed)
    is_loud = np.random.default_rng(seed).random(n) < 0.5
    texts = [text.upper() if up else text for text, up in zip(rows.frame["notes"], is_loud, strict=True)]
    target = np.where(is_loud, "yes", "no").astype(object)
    return dataclasses.replace(rows, frame=pd.DataFrame({"notes": texts}, dtype=object), target=target)


@pytest.mark.parametrize("model_type", ["linear_learner", "xgboost", "mlp"])
def test_how_a_text_looks_tells_what_its_words_do_not(model_type: str) -> None:
    rows, new = loud(N, seed=0), loud(200, seed=5)
    task = task_for(rows, COLUMNS[1:2], model_types=(model_type,), max_trials=1)
    fitted = fit_pipeline(task, search(task, rows, quiet), rows, None)
    found = fitted.predict(new.frame)
    assert np.mean(found == new.target) > 0.95
    program = parse_pipeline(fitted, inputs_of(COLUMNS[1:2]), "text")
    assert list(predict(program, {"notes": new.frame["notes"].tolist()})) == found.tolist()
