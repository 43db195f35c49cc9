"""What is added to the .gitignore that `dbt init` makes."""

from __future__ import annotations

from dbt.adapters.postgres_ml.gitignore import keep_out_of_git

STARTER = "\ntarget/\ndbt_packages/\nlogs/\n"
LINES = ["mlflow.db*", "mlartifacts/", "mlruns/", "postgres.pgdata/"]


def test_what_is_missing_is_added_once(tmp_path):
    file = tmp_path / ".gitignore"
    file.write_text(STARTER)
    assert keep_out_of_git(tmp_path, tmp_path / "postgres.pgdata") == LINES
    assert file.read_text() == STARTER + "\n# dbt-postgres-ml\n" + "\n".join(LINES) + "\n"
    assert keep_out_of_git(tmp_path, tmp_path / "postgres.pgdata") == []
    assert file.read_text().count("mlruns/") == 1


def test_what_a_user_wrote_counts(tmp_path):
    file = tmp_path / ".gitignore"
    file.write_text("/mlflow.db\nmlruns\nmlartifacts/*\n*.log")
    assert keep_out_of_git(tmp_path, tmp_path / "db" / "pg") == ["db/pg/"]
    assert file.read_text().endswith("*.log\n\n# dbt-postgres-ml\ndb/pg/\n")


def test_a_database_elsewhere_is_no_matter(tmp_path):
    (tmp_path / ".gitignore").write_text("")
    assert keep_out_of_git(tmp_path, tmp_path.parent / "pg") == LINES[:3]


def test_a_project_without_the_file_gets_none(tmp_path):
    assert keep_out_of_git(tmp_path, None) == []
    assert list(tmp_path.iterdir()) == []
