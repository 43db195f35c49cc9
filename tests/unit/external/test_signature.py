"""Names of columns decide which argument is which; positions do only where the library invented the names."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from postgres_ml.contract.column import Column
from postgres_ml.contract.exceptions import SpecError
from postgres_ml.external.load import Loaded
from postgres_ml.external.signature import are_invented, check_columns


class Model:
    """A booster as far as its columns' names go."""

    n_features_in_ = 2


def check(names: list[str], arguments: list[str]) -> None:
    loaded: Any = Loaded.__new__(Loaded)
    object.__setattr__(loaded, "model", Model())
    object.__setattr__(loaded, "origin", "model.json")
    check_columns(loaded, [Column(name, "double precision", "number") for name in arguments], names)


@pytest.mark.parametrize("names", [["f0", "f1"], ["Column_0", "Column_1"]])
def test_names_that_the_library_invented_take_arguments_in_their_order(names: list[str]) -> None:
    assert are_invented(names)
    check(names, ["spend", "calls"])


@pytest.mark.parametrize(
    "names",
    [["f_2", "f_1"], ["f1", "f0"], ["f1", "f2"], ["f0", "Column_1"], ["Column0", "Column1"], ["C0", "C1"], ["0", "1"]],
)  # fmt: skip
def test_every_other_name_is_somebodys(names: list[str]) -> None:
    assert not are_invented(names)
    check(names, names)
    with pytest.raises(SpecError, match="was fitted on them in another order"):
        check(names, names[::-1])
    with pytest.raises(SpecError, match="was fitted on other ones"):
        check(names, ["spend", "calls"])


NAMES = st.one_of(
    st.sampled_from(["f0", "f1", "f2", "Column_0", "Column_1", "x0", "x1", "0", "1", "spend", "calls", "F0"]),
    st.text("fcolumn_0123x", min_size=1, max_size=8),
)


@given(st.lists(NAMES, min_size=2, max_size=4, unique=True), st.data())
def test_a_permutation_of_the_names_is_never_taken(names: list[str], data: st.DataObject) -> None:
    check(names, names)
    given_names = data.draw(st.permutations(names))
    if list(given_names) != names:
        with pytest.raises(SpecError, match="was fitted on them in another order"):
            check(names, list(given_names))


@given(
    st.lists(NAMES, min_size=2, max_size=4, unique=True), st.lists(NAMES, min_size=2, max_size=4, unique=True)
)
def test_other_names_are_taken_for_invented_ones_only(names: list[str], given_names: list[str]) -> None:
    invented = [[f"{stem}{i}" for i in range(len(names))] for stem in ("f", "Column_")]
    may = names == given_names or (
        names in invented and len(names) == len(given_names) and not set(names) & set(given_names)
    )
    if may:
        check(names, given_names)
    else:
        with pytest.raises(SpecError):
            check(names, given_names)
