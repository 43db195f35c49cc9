"""Names of columns decide which argument is which; positions do only where the library invented the names."""

from __future__ import annotations

from typing import Any

import pytest
from postgres_ml.contract.column import Column
from postgres_ml.contract.exceptions import SpecError
from postgres_ml.external.load import Loaded
from postgres_ml.external.signature import are_invented, check_columns


class Model:
    """A booster as far as its columns' names go."""

    n_features_in_ = 2


def check(names: list[str], given: list[str]) -> None:
    loaded: Any = Loaded.__new__(Loaded)
    object.__setattr__(loaded, "model", Model())
    object.__setattr__(loaded, "origin", "model.json")
    check_columns(loaded, [Column(name, "double precision", "number") for name in given], names)


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
