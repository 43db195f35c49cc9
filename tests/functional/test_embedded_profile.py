"""A profile with `embedded:`: dbt starts the server, and others find what it built there."""

import psycopg2
import pytest
from dbt.tests.util import run_dbt
from postgres_ml import embedded
from support.dbt_projects import EmbeddedProfile


class TestEmbeddedProfile(EmbeddedProfile):
    @pytest.fixture(scope="class")
    def seeds(self):
        return {"planets.csv": "name,moons\nmars,2\nvenus,0\n"}

    @pytest.fixture(scope="class")
    def models(self):
        return {"moons.sql": "select sum(moons) as total from {{ ref('planets') }}"}

    def test_build(self, project, dbt_profile_target):
        assert len(run_dbt(["build"])) == 2
        address = embedded.ensure(dbt_profile_target["embedded"], linger=5)
        connection = psycopg2.connect(
            host=address.host, port=address.port, user=address.user, dbname=address.dbname
        )
        with connection, connection.cursor() as cursor:
            cursor.execute(f"select total from {project.test_schema}.moons")
            assert cursor.fetchall() == [(2,)]
        connection.close()
