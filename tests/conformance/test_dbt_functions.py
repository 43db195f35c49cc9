"""Functions that a project defines itself (dbt's function nodes)."""

from dbt.tests.adapter.functions.test_udfs import (
    DeterministicUDF,
    ErrorForUnsupportedType,
    NonDeterministicUDF,
    PythonUDFEntryPointRequired,
    PythonUDFNotSupported,
    PythonUDFRuntimeVersionRequired,
    SqlUDFDefaultArgSupport,
    StableUDF,
    UDFsBasic,
)


class TestUDFsBasic(UDFsBasic): ...


class TestDeterministicUDF(DeterministicUDF): ...


class TestStableUDF(StableUDF): ...


class TestNonDeterministicUDF(NonDeterministicUDF): ...


class TestErrorForUnsupportedType(ErrorForUnsupportedType): ...


class TestSqlUDFDefaultArgSupport(SqlUDFDefaultArgSupport):
    expect_default_arg_support = True


class TestPythonUDFNotSupported(PythonUDFNotSupported): ...


class TestPythonUDFRuntimeVersionRequired(PythonUDFRuntimeVersionRequired): ...


class TestPythonUDFEntryPointRequired(PythonUDFEntryPointRequired): ...
