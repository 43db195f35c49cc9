"""Functions that a project defines itself (dbt's function nodes)."""

from dbt.tests.adapter.functions.test_udafs import (
    BasicSQLUDAF,
)
from dbt.tests.adapter.functions.test_udfs import (
    DeterministicUDF,
    ErrorForUnsupportedType,
    NonDeterministicUDF,
    SqlUDFDefaultArgSupport,
    StableUDF,
    UDFsBasic,
)


class TestBasicSQLUDAF(BasicSQLUDAF): ...


class TestUDFsBasic(UDFsBasic): ...


class TestDeterministicUDF(DeterministicUDF): ...


class TestStableUDF(StableUDF): ...


class TestNonDeterministicUDF(NonDeterministicUDF): ...


class TestErrorForUnsupportedType(ErrorForUnsupportedType): ...


class TestSqlUDFDefaultArgSupport(SqlUDFDefaultArgSupport): ...
