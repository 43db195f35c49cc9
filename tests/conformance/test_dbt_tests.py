"""Unit tests, and failures of data tests that are stored."""

from dbt.tests.adapter.store_test_failures_tests.basic import (
    StoreTestFailuresAsExceptions,
    StoreTestFailuresAsGeneric,
    StoreTestFailuresAsInteractions,
    StoreTestFailuresAsProjectLevelEphemeral,
    StoreTestFailuresAsProjectLevelOff,
    StoreTestFailuresAsProjectLevelView,
)
from dbt.tests.adapter.store_test_failures_tests.test_store_test_failures import (
    BaseStoreTestFailures,
    BaseStoreTestFailuresLimit,
)
from dbt.tests.adapter.unit_testing.test_case_insensitivity import BaseUnitTestCaseInsensivity
from dbt.tests.adapter.unit_testing.test_invalid_input import BaseUnitTestInvalidInput
from dbt.tests.adapter.unit_testing.test_quoted_reserved_word_column_names import (
    BaseUnitTestQuotedReservedWordColumnNames,
)
from dbt.tests.adapter.unit_testing.test_types import BaseUnitTestingTypes


class TestUnitTestCaseInsensivity(BaseUnitTestCaseInsensivity): ...


class TestUnitTestInvalidInput(BaseUnitTestInvalidInput): ...


class TestUnitTestQuotedReservedWordColumnNames(BaseUnitTestQuotedReservedWordColumnNames): ...


class TestUnitTestingTypes(BaseUnitTestingTypes): ...


class TestStoreTestFailuresAsInteractions(StoreTestFailuresAsInteractions): ...


class TestStoreTestFailuresAsProjectLevelOff(StoreTestFailuresAsProjectLevelOff): ...


class TestStoreTestFailuresAsProjectLevelView(StoreTestFailuresAsProjectLevelView): ...


class TestStoreTestFailuresAsProjectLevelEphemeral(StoreTestFailuresAsProjectLevelEphemeral): ...


class TestStoreTestFailuresAsGeneric(StoreTestFailuresAsGeneric): ...


class TestStoreTestFailuresAsExceptions(StoreTestFailuresAsExceptions): ...


class TestStoreTestFailures(BaseStoreTestFailures): ...


class TestStoreTestFailuresLimit(BaseStoreTestFailuresLimit): ...
