"""How models are named, typed, referenced and run."""

import pytest
from dbt.tests.adapter.aliases.test_aliases import (
    BaseAliasErrors,
    BaseAliases,
    BaseSameAliasDifferentDatabases,
    BaseSameAliasDifferentSchemas,
)
from dbt.tests.adapter.column_types.test_column_types import BasePostgresColumnTypes
from dbt.tests.adapter.concurrency.test_concurrency import BaseConcurrency
from dbt.tests.adapter.ephemeral.test_ephemeral import (
    BaseEphemeralErrorHandling,
    BaseEphemeralMulti,
    BaseEphemeralNested,
)
from dbt.tests.adapter.simple_copy.test_copy_uppercase import BaseSimpleCopyUppercase
from dbt.tests.adapter.simple_copy.test_simple_copy import EmptyModelsArentRunBase, SimpleCopyBase

pytestmark = pytest.mark.exhaustive


class TestAliases(BaseAliases): ...


class TestAliasErrors(BaseAliasErrors): ...


class TestSameAliasDifferentSchemas(BaseSameAliasDifferentSchemas): ...


class TestSameAliasDifferentDatabases(BaseSameAliasDifferentDatabases): ...


class TestPostgresColumnTypes(BasePostgresColumnTypes): ...


class TestConcurrency(BaseConcurrency): ...


class InDatabaseDbt:
    """Compares compiled SQL with a text that names the database `dbt` and the module `test_ephemeral`."""

    @pytest.fixture(scope="class")
    def unique_schema(self, prefix):
        return f"{prefix}_test_ephemeral"

    @pytest.fixture(scope="class")
    def dbt_profile_target(self, database_dbt, conformance_target):
        return {**conformance_target, "dbname": database_dbt}

    @pytest.fixture(scope="class")
    def database_dbt(self, server_connection):
        with server_connection.cursor() as cursor:
            cursor.execute('create database "dbt"')
            yield "dbt"
            cursor.execute('drop database "dbt" with (force)')


@pytest.mark.xdist_group("database_dbt")
class TestEphemeralMulti(InDatabaseDbt, BaseEphemeralMulti): ...


@pytest.mark.xdist_group("database_dbt")
class TestEphemeralNested(InDatabaseDbt, BaseEphemeralNested): ...


class TestEphemeralErrorHandling(BaseEphemeralErrorHandling): ...


class TestSimpleCopyUppercase(BaseSimpleCopyUppercase):
    @pytest.fixture(scope="class")
    def dbt_profile_target(self, mixed_case_database, conformance_target):
        return {**conformance_target, "dbname": mixed_case_database}

    @pytest.fixture(scope="class")
    def mixed_case_database(self, server_connection):
        name = "dbtMixedCase"
        with server_connection.cursor() as cursor:
            cursor.execute(f'create database "{name}"')
            yield name
            cursor.execute(f'drop database "{name}" with (force)')


class TestSimpleCopyBase(SimpleCopyBase): ...


class TestEmptyModelsArentRunBase(EmptyModelsArentRunBase): ...
