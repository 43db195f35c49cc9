"""What dbt knows of relations: cache, catalog, comments, clones, changes of kind."""

import re

from dbt.tests.adapter.caching.test_caching import (
    BaseCachingLowercaseModel,
    BaseCachingSelectedSchemaOnly,
    BaseCachingUppercaseModel,
    BaseNoPopulateCache,
)
from dbt.tests.adapter.catalog.relation_types import CatalogRelationTypes
from dbt.tests.adapter.dbt_clone.test_dbt_clone import (
    BaseCloneNotPossible,
    BaseCloneSameTargetAndState,
)
from dbt.tests.adapter.persist_docs.test_persist_docs import (
    BasePersistDocs,
    BasePersistDocsColumnMissing,
    BasePersistDocsCommentOnQuotedColumn,
)
from dbt.tests.adapter.relations.test_changing_relation_type import BaseChangeRelationTypeValidator
from dbt.tests.adapter.relations.test_dropping_schema_named import BaseDropSchemaNamed
from dbt.tests.util import run_dbt_and_capture


class TestCachingLowercaseModel(BaseCachingLowercaseModel): ...


class TestCachingUppercaseModel(BaseCachingUppercaseModel): ...


class TestCachingSelectedSchemaOnly(BaseCachingSelectedSchemaOnly): ...


class TestNoPopulateCache(BaseNoPopulateCache): ...


class TestCatalogRelationTypes(CatalogRelationTypes): ...


class TestCloneNotPossible(BaseCloneNotPossible): ...


class TestCloneSameTargetAndState(BaseCloneSameTargetAndState):
    def test_clone_same_target_and_state(self, project, unique_schema, other_schema):
        """As dbt's own test, whose text begins with the level as dbt wrote it up to 1.11."""
        project.create_test_schema(other_schema)
        self.run_and_save_state(project.project_root)
        _, output = run_dbt_and_capture(["clone", "--defer", "--state", "target"], expect_pass=False)
        assert re.search(
            r"warning\W.*The state and target directories are the same: 'target'", output, re.IGNORECASE
        )


class TestPersistDocs(BasePersistDocs): ...


class TestPersistDocsColumnMissing(BasePersistDocsColumnMissing): ...


class TestPersistDocsCommentOnQuotedColumn(BasePersistDocsCommentOnQuotedColumn): ...


class TestChangeRelationTypeValidator(BaseChangeRelationTypeValidator): ...


class TestDropSchemaNamed(BaseDropSchemaNamed): ...
