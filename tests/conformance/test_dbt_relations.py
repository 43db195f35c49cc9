"""What dbt knows of relations: cache, catalog, comments, clones, changes of kind."""

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


class TestCachingLowercaseModel(BaseCachingLowercaseModel): ...


class TestCachingUppercaseModel(BaseCachingUppercaseModel): ...


class TestCachingSelectedSchemaOnly(BaseCachingSelectedSchemaOnly): ...


class TestNoPopulateCache(BaseNoPopulateCache): ...


class TestCatalogRelationTypes(CatalogRelationTypes): ...


class TestCloneNotPossible(BaseCloneNotPossible): ...


class TestCloneSameTargetAndState(BaseCloneSameTargetAndState): ...


class TestPersistDocs(BasePersistDocs): ...


class TestPersistDocsColumnMissing(BasePersistDocsColumnMissing): ...


class TestPersistDocsCommentOnQuotedColumn(BasePersistDocsCommentOnQuotedColumn): ...


class TestChangeRelationTypeValidator(BaseChangeRelationTypeValidator): ...


class TestDropSchemaNamed(BaseDropSchemaNamed): ...
