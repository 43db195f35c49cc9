"""What a build asks of a node's config and of the profile."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from dbt.adapters.postgres_ml.config.node import read_spec
from dbt_common.exceptions import DbtValidationError
from support.model_config import node


def test_a_profile_that_commits_each_statement_can_not_publish() -> None:
    with pytest.raises(DbtValidationError, match=r"churn: .*`autocommit: true`.*remove it"):
        read_spec(node(target="y"), SimpleNamespace(autocommit=True))


@pytest.mark.parametrize("credentials", [SimpleNamespace(autocommit=False), SimpleNamespace()])
def test_profiles_of_older_releases_know_no_autocommit(credentials: SimpleNamespace) -> None:
    assert read_spec(node(target="y"), credentials).target == "y"
