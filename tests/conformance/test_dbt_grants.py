"""Grants on relations."""

import pytest
from dbt.tests.adapter.grants.test_incremental_grants import BaseIncrementalGrants
from dbt.tests.adapter.grants.test_invalid_grants import BaseInvalidGrants
from dbt.tests.adapter.grants.test_model_grants import BaseModelGrants
from dbt.tests.adapter.grants.test_seed_grants import BaseSeedGrants
from dbt.tests.adapter.grants.test_snapshot_grants import BaseSnapshotGrants

pytestmark = pytest.mark.usefixtures("test_users")


class TestIncrementalGrants(BaseIncrementalGrants): ...


class TestInvalidGrants(BaseInvalidGrants): ...


class TestModelGrants(BaseModelGrants): ...


class TestSeedGrants(BaseSeedGrants): ...


class TestSnapshotGrants(BaseSnapshotGrants): ...
