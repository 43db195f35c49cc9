"""create_model under dbt-postgres without this package's adapter: the package's macros, a worker beside the server.

The oracle of what is published is a build of the same project by the adapter, in another database.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from postgres_ml.embedded import ServerAddress
from support.any_dbt import PARITY, SMALL, VERSIONED, Project, World, any_dbt_world, plain_dbt

pytestmark = pytest.mark.xdist_group("any_dbt")


@pytest.fixture(scope="module")
def dbt(pytestconfig: pytest.Config) -> Path:
    assert pytestconfig.cache is not None
    return plain_dbt(Path(str(pytestconfig.cache.mkdir("any_dbt"))) / "dbt-postgres")


def build_by_adapter(project: Project) -> None:
    """Build a copy of the project by the adapter: packages.yml names the package there, too."""
    folder = project.folder.with_name("ours")
    shutil.copytree(project.folder, folder, ignore=shutil.ignore_patterns("target", "logs"), symlinks=True)
    done = Project(Path(sys.executable).parent / "dbt", folder).run("build", target="ours")
    assert done.code == 0, done.output


class TestSmall:
    """Two linear models: the whole way in less than a minute."""

    @pytest.fixture(scope="class")
    def world(self, server: ServerAddress, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
        with any_dbt_world(server, tmp_path_factory.mktemp("any_dbt")) as made:
            yield made

    @pytest.fixture(scope="class")
    def project(self, world: World, dbt: Path) -> Project:
        return world.project(dbt, world.outputs(), SMALL, ["concrete_strength"])

    @pytest.fixture(scope="class")
    def built(self, world: World, project: Project) -> dict[str, Any]:
        """The whole project's build; before it, what is said where something is missing."""
        said = {"catalog": project.run("build", "-s", "+heavy")}
        world.install(project, "dev")  # dbt's own role: another target would let dbt parse all again
        said["worker"] = project.run("run", "-s", "heavy")
        world.start_worker()
        said["built"] = project.run("build")
        return said

    def test_what_is_missing_is_named_with_the_command_that_cures_it(self, built: dict[str, Any]) -> None:
        without = built["catalog"]
        assert without.results["heavy"]["status"] == "error"
        assert re.search(
            r"heavy: this database has no postgres_ml\.create_model.*"
            r"dbt run-operation postgres_ml\.create_catalog --args '\{worker: ml_worker\}'.*postgres-ml worker --dsn",
            without.output,
        )
        lonely = built["worker"].output
        assert "waits, and no worker is connected to this database: start one, postgres-ml worker" in lonely
        assert re.search(
            r"heavy: no worker was connected to this database for 4 s, and job \d+ was cancelled", lonely
        )

    def test_the_project_builds_with_its_tests_and_says_how_far_it_is(self, built: dict[str, Any]) -> None:
        done = built["built"]
        assert done.code == 0, done.output
        assert {row["status"] for row in done.results.values()} == {"success", "pass"}
        assert re.search(r"concrete_strength: training: there is no version yet", done.output)
        message = done.results["concrete_strength"]["message"]
        assert re.fullmatch(r"CREATE MODEL v1 mse=[\d.]+ linear_learner/\w+", message)

    def test_the_functions_are_those_of_a_build_by_the_adapter(
        self, world: World, project: Project, built: dict[str, Any]
    ) -> None:
        build_by_adapter(project)
        found = world.functions(world.name)
        assert {"predict_concrete_strength", "says_heavy", "says_heavy_probabilities"} <= {
            row[0] for row in found
        }
        assert found == world.functions(f"{world.name}_ours")

    def test_predictions_in_all_ways_agree(self, world: World, built: dict[str, Any]) -> None:
        [(n, n_equal, n_sure)] = world.ask(
            "select count(*), count(*) filter (where by_scope = by_alias and by_alias = by_list and by_list = by_name"
            " and by_name = s.prediction), count(*) filter (where probability::float8 >= 0.5)"
            " from ml.calls join ml.scored as s using (mixture_id)",
            world.analyst,
        )
        assert n == n_equal == n_sure == 1030

    def test_the_edges_of_the_graph_come_from_predict(self, project: Project, built: dict[str, Any]) -> None:
        manifest = json.loads((project.folder / "target" / "manifest.json").read_text())
        for name in ("calls", "scored"):
            assert "model.shop.heavy" in manifest["nodes"][f"model.shop.{name}"]["depends_on"]["nodes"]

    def test_grants_and_hooks_are_obeyed(self, world: World, built: dict[str, Any]) -> None:
        [(acl,)] = world.ask("select proacl::text from pg_proc where proname = 'says_heavy' and pronargs > 1")
        assert acl.startswith("{=X/") and world.analyst in acl
        assert world.ask("select at from ml.hooks") == [("after",)]

    def test_orphans_are_the_projects_own(
        self, world: World, project: Project, built: dict[str, Any]
    ) -> None:
        """Neither what another project has trained nor what an SQL client has created."""
        other = Project(project.dbt, project.folder.with_name("finance"))
        shutil.copytree(
            project.folder, other.folder, ignore=shutil.ignore_patterns("target", "logs"), symlinks=True
        )
        settings = other.folder / "dbt_project.yml"
        settings.write_text(json.dumps({"name": "finance", "version": "1.0.0", "profile": "shop"}))
        for path in (other.folder / "models").iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.rmtree(other.folder / "tests")
        assert "no model is orphaned" in other.operation("drop_orphans", dry_run=False).output
        settings.write_text(settings.read_text().replace("finance", "shop"))
        found = re.findall(r"(\S+): would be dropped", other.operation("drop_orphans").output)
        assert found == ["ml.concrete_strength", "ml.heavy"]
        world.ask("update postgres_ml.job set query = 'select 1' where model_name = 'heavy'")
        found = re.findall(r"(\S+): would be dropped", other.operation("drop_orphans").output)
        assert found == ["ml.concrete_strength"]

    @pytest.mark.exhaustive
    def test_a_test_that_needs_python_says_so(self, project: Project, built: dict[str, Any]) -> None:
        path = project.folder / "models" / "tests.yml"
        path.write_text(json.dumps(PARITY))
        done = project.run("test", "-s", "postgres_ml_prediction_parity_heavy_")
        path.write_text(SMALL["tests.yml"])
        assert "prediction_parity compares by Python" in done.output and done.code == 1


class TestExamples:
    """The examples, but for the one whose seed dbt-postgres needs minutes for."""

    NAMES = (
        *(
            "customer_churn",
            "penguin_species",
            "wine_groups",
            "unusual_demand",
            "concrete_strength",
            "carbon_dioxide",
        ),
        "job_duration",
    )
    pytestmark = pytest.mark.exhaustive

    @pytest.fixture(scope="class")
    def world(self, server: ServerAddress, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
        with any_dbt_world(server, tmp_path_factory.mktemp("any_dbt_examples")) as made:
            yield made

    @pytest.fixture(scope="class")
    def project(self, world: World, dbt: Path) -> Project:
        made = world.project(dbt, world.outputs(), VERSIONED, self.NAMES)
        for path in made.folder.rglob("models/**/*.sql"):  # a search as long as it is wide, on any machine
            text = path.read_text().replace("'max_runtime': 20", "'max_trials': 3, 'max_runtime': 3600")
            path.write_text(text.replace("'max_runtime': 10", "'max_runtime': 3600"))
        return made

    @pytest.fixture(scope="class")
    def built(self, world: World, project: Project) -> Any:
        world.ask("create schema ml", world.analyst)
        world.install(project)
        world.start_worker("--concurrency", "2")
        return project.run("build")

    def test_they_build_and_pass_their_tests(self, built: Any) -> None:
        assert built.code == 0, built.output
        assert {row["status"] for row in built.results.values()} == {"success", "pass"}
        assert set(self.NAMES) <= set(built.results)

    def test_their_functions_are_those_of_a_build_by_the_adapter(
        self, world: World, project: Project, built: Any
    ) -> None:
        build_by_adapter(project)
        found, ours = world.functions(world.name), world.functions(f"{world.name}_ours")
        assert {f"predict_{name}" for name in self.NAMES} <= {row[0] for row in found}
        assert [row[:2] for row in found if row not in ours] == []
        assert len(found) == len(ours)

    def test_a_version_of_dbts_is_called_by_v(self, project: Project, built: Any) -> None:
        compiled = (project.folder / "target" / "compiled" / "shop" / "models" / "strengths.sql").read_text()
        assert '"ml"."predict_strength_v1"("cement") as one' in compiled
        assert '"ml"."predict_strength_v2"("cement", "water") as two' in compiled

    def test_empty_keeps_what_is_published(self, world: World, project: Project, built: Any) -> None:
        done = project.run("run", "--empty", "-s", "concrete_strength")
        assert done.results["concrete_strength"]["message"] == "kept: --empty trains nothing"
        assert world.value("select state from ml.concrete_strength") == "READY"

    def test_empty_takes_no_table_for_a_published_model(
        self, world: World, project: Project, built: Any
    ) -> None:
        world.ask("alter view ml.concrete_strength rename to aside; create table ml.concrete_strength ()")
        try:
            done = project.run("run", "--empty", "-s", "concrete_strength")
            message = done.results["concrete_strength"]["message"]
            assert "no model is published yet that could be kept" in message
        finally:
            world.ask("drop table ml.concrete_strength; alter view ml.aside rename to concrete_strength")

    def test_unchanged_rows_are_not_trained_again_and_full_refresh_trains(
        self, project: Project, built: Any
    ) -> None:
        again = project.run("run", "-s", "concrete_strength")
        assert again.results["concrete_strength"]["message"] == "unchanged, kept v1"
        refreshed = project.run("run", "-s", "concrete_strength", "--full-refresh")
        assert refreshed.results["concrete_strength"]["message"].startswith("CREATE MODEL v2")

    @pytest.mark.parametrize(
        ("name", "arguments", "words"),
        [
            ("show_models", {}, r"ml\.customer_churn +v1 +READY +binary_classification"),
            ("show_model", {"model": "customer_churn"}, r"Function Name +predict_customer_churn"),
            ("explain_model", {"model": "customer_churn"}, r"\n *1 +\w+ +[\d.]+ +[\d.]+ %"),
            ("list_versions", {"model": "ml.customer_churn"}, r"\* v1  READY"),
            ("drop_orphans", {}, r"no model is orphaned"),
            (
                "show_model",
                {"model": "customer_chur"},
                r"there is no model 'customer_chur'; there are: ml\.carbon_dioxide, ",
            ),
        ],
    )
    def test_operations(
        self, project: Project, built: Any, name: str, arguments: dict[str, Any], words: str
    ) -> None:
        assert re.search(words, project.operation(name, **arguments).output)

    def test_evaluation_says_what_the_library_says(self, world: World, project: Project, built: Any) -> None:
        from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score

        with closing(world.connect(world.analyst)) as connection, connection.cursor() as cursor:
            cursor.execute(
                "select churn, ml.predict_customer_churn(to_jsonb(t)) from ml_data.telco_customers as t"
            )
            truth, predicted = zip(*cursor.fetchall(), strict=True)
        said = project.operation("evaluate_model", model="customer_churn", relation="telco_customers").output
        expected = {
            "accuracy": accuracy_score(truth, predicted),
            "precision": precision_score(truth, predicted, pos_label="yes"),
            "recall": recall_score(truth, predicted, pos_label="yes"),
            "f1": f1_score(truth, predicted, pos_label="yes"),
            "f1_macro": f1_score(truth, predicted, average="macro"),
        }
        for metric, value in expected.items():
            [found] = re.findall(rf"^{metric} +([\d.]+)$", said, re.MULTILINE)
            assert float(found) == pytest.approx(value, abs=5e-5)

    def test_a_rollback_and_a_drop_are_done_by_the_worker(
        self, world: World, project: Project, built: Any
    ) -> None:
        changed = project.run("run", "-s", "carbon_dioxide", "--full-refresh")
        assert changed.code == 0, changed.output
        assert project.operation("rollback_model", model="carbon_dioxide").code == 0
        assert world.value("select version from ml.carbon_dioxide") == 1
        refused = project.operation("drop_model", model="carbon_dioxide")
        assert refused.code == 1 and "is used by" in refused.output
        world.ask("drop view ml.carbon_dioxide_forecast")
        assert project.operation("drop_model", model="carbon_dioxide").code == 0
        assert world.value("select to_regclass('ml.carbon_dioxide')") is None
        with pytest.raises(psycopg2.Error):
            world.ask("select ml.predict_carbon_dioxide(null, null, null)")
