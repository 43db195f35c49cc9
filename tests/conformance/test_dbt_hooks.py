"""Hooks before and after models, seeds, snapshots and whole runs."""

from pathlib import Path

import pytest
from dbt.tests.adapter.hooks import test_model_hooks
from dbt.tests.adapter.hooks.test_model_hooks import (
    BaseDuplicateHooksInConfigs,
    BaseHookRefs,
    BaseHooksRefsOnSeeds,
    BasePrePostModelHooks,
    BasePrePostModelHooksInConfig,
    BasePrePostModelHooksInConfigKwargs,
    BasePrePostModelHooksInConfigWithCount,
    BasePrePostModelHooksOnSeeds,
    BasePrePostModelHooksOnSeedsPlusPrefixed,
    BasePrePostModelHooksOnSeedsPlusPrefixedWhitespace,
    BasePrePostModelHooksOnSnapshots,
    BasePrePostSnapshotHooksInConfigKwargs,
)
from dbt.tests.adapter.hooks.test_run_hooks import BaseAfterRunHooks, BasePrePostRunHooks

#: what dbt-tests-adapter wants to see, whatever the profile
EXPECTED = {"target_dbname": "dbt", "target_type": "postgres", "target_user": "root", "target_threads": 4}


@pytest.fixture(scope="module")
def test_data_dir():
    """The folder of the scripts that make the tables that the hooks write to."""
    return Path(test_model_hooks.__file__).parent / "data"


def check_target(context, project):
    """Return what a hook saw with the target's values, once compared, put in dbt-tests-adapter's place."""
    config = project.adapter.config
    target = (config.credentials.database, project.adapter_type, config.credentials.user, config.threads)
    assert tuple(context[key] for key in EXPECTED) == target
    return {**context, **EXPECTED}


class ModelHookTarget:
    def get_ctx_vars(self, state, count, project):
        return [check_target(context, project) for context in super().get_ctx_vars(state, count, project)]


class RunHookTarget:
    def get_ctx_vars(self, state, project):
        return check_target(super().get_ctx_vars(state, project), project)


class TestPrePostModelHooks(ModelHookTarget, BasePrePostModelHooks): ...


class TestHookRefs(ModelHookTarget, BaseHookRefs): ...


class TestPrePostModelHooksOnSeeds(BasePrePostModelHooksOnSeeds): ...


class TestHooksRefsOnSeeds(BaseHooksRefsOnSeeds): ...


class TestPrePostModelHooksOnSeedsPlusPrefixed(BasePrePostModelHooksOnSeedsPlusPrefixed): ...


class TestPrePostModelHooksOnSeedsPlusPrefixedWhitespace(
    BasePrePostModelHooksOnSeedsPlusPrefixedWhitespace
): ...


class TestPrePostModelHooksOnSnapshots(BasePrePostModelHooksOnSnapshots): ...


class TestPrePostModelHooksInConfig(ModelHookTarget, BasePrePostModelHooksInConfig): ...


class TestPrePostModelHooksInConfigWithCount(ModelHookTarget, BasePrePostModelHooksInConfigWithCount): ...


class TestPrePostModelHooksInConfigKwargs(ModelHookTarget, BasePrePostModelHooksInConfigKwargs): ...


class TestPrePostSnapshotHooksInConfigKwargs(BasePrePostSnapshotHooksInConfigKwargs): ...


class TestDuplicateHooksInConfigs(BaseDuplicateHooksInConfigs): ...


class TestPrePostRunHooks(RunHookTarget, BasePrePostRunHooks): ...


class TestAfterRunHooks(BaseAfterRunHooks): ...
