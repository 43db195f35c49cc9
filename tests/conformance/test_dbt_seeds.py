"""Seeds, which this adapter loads by COPY."""

import shutil
from pathlib import Path

import pytest
from dbt.tests.adapter.simple_seed import seeds
from dbt.tests.adapter.simple_seed.test_seed import (
    BaseBasicSeedTests,
    BaseSeedConfigFullRefreshOff,
    BaseSeedConfigFullRefreshOn,
    BaseSeedCustomSchema,
    BaseSeedParsing,
    BaseSeedSpecificFormats,
    BaseSeedWithEmptyDelimiter,
    BaseSeedWithUniqueDelimiter,
    BaseSeedWithWrongDelimiter,
    BaseSimpleSeedEnabledViaConfig,
    BaseSimpleSeedWithBOM,
    BaseTestEmptySeed,
)
from dbt.tests.adapter.simple_seed.test_seed_type_override import BaseSimpleSeedColumnOverride


class TestBasicSeedTests(BaseBasicSeedTests): ...


class TestSeedConfigFullRefreshOn(BaseSeedConfigFullRefreshOn): ...


class TestSeedConfigFullRefreshOff(BaseSeedConfigFullRefreshOff): ...


class TestSeedCustomSchema(BaseSeedCustomSchema): ...


class TestSeedWithUniqueDelimiter(BaseSeedWithUniqueDelimiter): ...


class TestSeedWithWrongDelimiter(BaseSeedWithWrongDelimiter): ...


class TestSeedWithEmptyDelimiter(BaseSeedWithEmptyDelimiter): ...


class TestSimpleSeedEnabledViaConfig(BaseSimpleSeedEnabledViaConfig): ...


class TestSeedParsing(BaseSeedParsing): ...


class TestSimpleSeedWithBOM(BaseSimpleSeedWithBOM):
    @pytest.fixture(scope="class", autouse=True)
    def setUp(self, project):
        """Copy the seed from where dbt-tests-adapter keeps it; it looks beside the tests."""
        project.run_sql(seeds.seeds__expected_sql)
        shutil.copy(Path(seeds.__file__).parent / "seed_bom.csv", Path(project.project_root, "seeds"))


class TestSeedSpecificFormats(BaseSeedSpecificFormats): ...


class TestEmptySeed(BaseTestEmptySeed): ...


class TestSimpleSeedColumnOverride(BaseSimpleSeedColumnOverride): ...
