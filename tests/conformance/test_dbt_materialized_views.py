"""Materialized views: made, exchanged for tables and views, changed."""

import pytest
from dbt.tests.adapter.materialized_view.basic import MaterializedViewBasic
from dbt.tests.adapter.materialized_view.changes import (
    MaterializedViewChanges,
    MaterializedViewChangesApplyMixin,
    MaterializedViewChangesContinueMixin,
    MaterializedViewChangesFailMixin,
)
from dbt.tests.util import get_model_file, set_model_file

pytestmark = pytest.mark.exhaustive

INDEXED_VIEW = """
{{ config(materialized='materialized_view', indexes=[{'columns': ['id']}]) }}
select * from {{ ref('my_seed') }}
"""
KINDS = {"r": "table", "v": "view", "m": "materialized_view"}


def relation_type(project, relation):
    query = f"select relkind from pg_class where oid = to_regclass('{relation}')"
    found = project.run_sql(query, fetch="one")
    return KINDS[found[0]] if found else None


def indexed_columns(project, relation):
    query = f"""
        select attname from pg_attribute
        where attrelid in (select indexrelid from pg_index where indrelid = to_regclass('{relation}'))
    """
    return [name for (name,) in project.run_sql(query, fetch="all")]


class TestMaterializedViewBasic(MaterializedViewBasic):
    query_relation_type = staticmethod(relation_type)

    @staticmethod
    def insert_record(project, table, record):
        project.run_sql(f"insert into {table} (id, value) values {record}")

    @staticmethod
    def refresh_materialized_view(project, materialized_view):
        project.run_sql(f"refresh materialized view {materialized_view}")

    @staticmethod
    def query_row_count(project, relation):
        return project.run_sql(f"select count(*) from {relation}", fetch="one")[0]


class IndexChanges(MaterializedViewChanges):
    """The one change of a materialized view that dbt-postgres follows is that of its indexes."""

    query_relation_type = staticmethod(relation_type)

    @pytest.fixture(scope="class", autouse=True)
    def models(self):
        return {"my_materialized_view.sql": INDEXED_VIEW}

    @staticmethod
    def check_start_state(project, materialized_view):
        assert indexed_columns(project, materialized_view) == ["id"]

    @staticmethod
    def change_config_via_alter(project, materialized_view):
        text = get_model_file(project, materialized_view).replace("['id']", "['value']")
        set_model_file(project, materialized_view, text)

    @staticmethod
    def check_state_alter_change_is_applied(project, materialized_view):
        assert indexed_columns(project, materialized_view) == ["value"]


class TestMaterializedViewChangesApply(IndexChanges, MaterializedViewChangesApplyMixin):
    #: dbt-postgres knows no change that needs another materialized view in the old one's place
    test_change_is_applied_via_replace = None


class TestMaterializedViewChangesContinue(IndexChanges, MaterializedViewChangesContinueMixin): ...


class TestMaterializedViewChangesFail(IndexChanges, MaterializedViewChangesFailMixin): ...
