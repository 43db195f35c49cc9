"""Snapshots (dbt's, of rows over time)."""

import pytest
from dbt.tests.adapter.simple_snapshot.new_record_check_mode import BaseSnapshotNewRecordCheckMode
from dbt.tests.adapter.simple_snapshot.new_record_dbt_valid_to_current import (
    BaseSnapshotNewRecordDbtValidToCurrent,
)
from dbt.tests.adapter.simple_snapshot.new_record_timestamp_mode import BaseSnapshotNewRecordTimestampMode
from dbt.tests.adapter.simple_snapshot.test_ephemeral_snapshot_hard_deletes import (
    BaseSnapshotEphemeralHardDeletes,
)
from dbt.tests.adapter.simple_snapshot.test_snapshot import BaseSimpleSnapshot, BaseSnapshotCheck
from dbt.tests.adapter.simple_snapshot.test_various_configs import (
    BaseSnapshotColumnNames,
    BaseSnapshotColumnNamesFromDbtProject,
    BaseSnapshotDbtValidToCurrent,
    BaseSnapshotInvalidColumnNames,
    BaseSnapshotMultiUniqueKey,
)

pytestmark = pytest.mark.exhaustive


class TestSnapshotNewRecordCheckMode(BaseSnapshotNewRecordCheckMode): ...


class TestSnapshotNewRecordDbtValidToCurrent(BaseSnapshotNewRecordDbtValidToCurrent): ...


class TestSnapshotNewRecordTimestampMode(BaseSnapshotNewRecordTimestampMode): ...


class TestSnapshotEphemeralHardDeletes(BaseSnapshotEphemeralHardDeletes):
    @pytest.fixture(scope="class")
    def dbt_profile_target(self, conformance_target, unique_schema):
        # it names its tables without their schema
        return {**conformance_target, "search_path": unique_schema}


class TestSimpleSnapshot(BaseSimpleSnapshot): ...


class TestSnapshotCheck(BaseSnapshotCheck): ...


class TestSnapshotColumnNames(BaseSnapshotColumnNames): ...


class TestSnapshotColumnNamesFromDbtProject(BaseSnapshotColumnNamesFromDbtProject): ...


class TestSnapshotInvalidColumnNames(BaseSnapshotInvalidColumnNames): ...


class TestSnapshotDbtValidToCurrent(BaseSnapshotDbtValidToCurrent): ...


class TestSnapshotMultiUniqueKey(BaseSnapshotMultiUniqueKey): ...
