"""Commands and flags: show, debug, --empty, --sample, query comments."""

import pytest
from dbt.tests.adapter.dbt_debug.test_dbt_debug import BaseDebugInvalidProjectPostgres, BaseDebugPostgres
from dbt.tests.adapter.dbt_show.test_dbt_show import (
    BaseShowDoesNotHandleDoubleLimit,
    BaseShowLimit,
    BaseShowSqlHeader,
)
from dbt.tests.adapter.empty import _models
from dbt.tests.adapter.empty.test_empty import (
    BaseTestEmpty,
    MetadataWithEmptyFlag,
)
from dbt.tests.adapter.query_comment.test_query_comment import (
    BaseEmptyQueryComments,
    BaseMacroArgsQueryComments,
    BaseMacroInvalidQueryComments,
    BaseMacroQueryComments,
    BaseNullQueryComments,
    BaseQueryComments,
)
from dbt.tests.adapter.sample_mode.test_sample_mode import BaseSampleModeTest


class TestShowLimit(BaseShowLimit): ...


class TestShowSqlHeader(BaseShowSqlHeader): ...


class TestShowDoesNotHandleDoubleLimit(BaseShowDoesNotHandleDoubleLimit): ...


class TestDebugPostgres(BaseDebugPostgres): ...


class TestDebugInvalidProjectPostgres(BaseDebugInvalidProjectPostgres): ...


class TestEmpty(BaseTestEmpty): ...


class TestMetadataWithEmptyFlag(MetadataWithEmptyFlag):
    """One of its models names a column in capitals, which Postgres keeps only when they are quoted."""

    @pytest.fixture(scope="class")
    def seeds(self):
        return {"my_seed.csv": _models.SEED.replace("my_value", "MY_VALUE")}

    @pytest.fixture(scope="class")
    def project_config_update(self):
        return {"seeds": {"+quote_columns": True}}


class TestSampleModeTest(BaseSampleModeTest): ...


class TestQueryComments(BaseQueryComments): ...


class TestMacroQueryComments(BaseMacroQueryComments): ...


class TestMacroArgsQueryComments(BaseMacroArgsQueryComments): ...


class TestMacroInvalidQueryComments(BaseMacroInvalidQueryComments): ...


class TestNullQueryComments(BaseNullQueryComments): ...


class TestEmptyQueryComments(BaseEmptyQueryComments): ...
