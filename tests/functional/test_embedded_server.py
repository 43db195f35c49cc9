"""The shared server and its fixtures."""


def test_schema_is_fresh(connection, schema):
    with connection.cursor() as cursor:
        cursor.execute(f"create table {schema}.t as select 1 as one")
        cursor.execute(f"select one from {schema}.t")
        assert cursor.fetchone() == (1,)
