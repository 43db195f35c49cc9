"""The part of the adapter that builds one create_model node: what the materialization asks of Python.

Each phase takes the value that the one before returned: plan, snapshot, result. Methods are short on purpose;
the work is in the modules beside this one and in the package postgres_ml.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg2
from dbt.adapters.base import available
from dbt.adapters.postgres_ml import limits
from dbt.adapters.postgres_ml.build.response import CreateModelResponse, kept_response, response
from dbt.adapters.postgres_ml.connections import project_root
from dbt.adapters.postgres_ml.gitignore import keep_out_of_git
from dbt.adapters.postgres_ml.log import logger
from dbt.adapters.postgres_ml.session import SessionAdapter
from dbt.flags import get_flags
from dbt_common.exceptions import DbtDatabaseError, DbtRuntimeError

from postgres_ml.contract.exceptions import PostgresMLError

if TYPE_CHECKING:
    from dbt.adapters.postgres_ml.build.node import NodeBuild
    from dbt.adapters.postgres_ml.build.plan import BuildPlan
    from dbt.adapters.postgres_ml.build.publication import Publication
    from dbt.adapters.postgres_ml.build.trained import Closing, Result, Snapshot

    from postgres_ml.evaluate.gates import Refusal


class MaterializationAdapter(SessionAdapter):
    """dbt-postgres, and the phases of a create_model node's build.

    The modules of the phases are imported when a node is built: `dbt parse` needs none of them.
    """

    def __init__(self, config: Any, mp_context: Any) -> None:
        super().__init__(config, mp_context)
        # dbt says that a node has ended, or failed, by a hook that knows nothing but the thread
        self._closings: dict[int, Closing] = {}

    @available.parse_none
    def begin_build(self, model: dict[str, Any], sql: str) -> NodeBuild:
        """Return the node's build when no other of this model runs; what can wait for others is done here.

        No transaction is open yet: another build can take an hour, and MLflow seconds.
        """
        from dbt.adapters.postgres_ml.build.console import Console
        from dbt.adapters.postgres_ml.build.kinds import build_of

        with self._errors_of(model["name"]):
            build = build_of(self._node(model["unique_id"]), sql, self.config, self.connections)
            closing = self._closing()
            closing.callback(Console(build).close)
            closing.lock(build)
            build.identity  # noqa: B018  # asked now, and kept
            return build

    @available.parse_none
    def plan_model(self, build: NodeBuild, full_refresh: bool, is_empty: bool) -> BuildPlan:
        """Return what the node's build does: train, publish, keep…; nothing is read but a digest."""
        from dbt.adapters.postgres_ml.build.plan import plan_build

        with self._errors_of(build.node.name):
            build.progress.begin("plan")
            return plan_build(build, full_refresh=full_refresh, is_empty=is_empty)

    @available.parse_none
    def stub_model(self, plan: BuildPlan) -> Result:
        """Return the functions that `--empty` publishes."""
        from dbt.adapters.postgres_ml.build.trained import stub

        return stub(plan)

    @available.parse_none
    def declare_model(self, plan: BuildPlan) -> Result:
        """Return the functions that call a service."""
        from dbt.adapters.postgres_ml.build.trained import declare

        with self._errors_of(plan.build.node.name):
            return declare(plan, plan.build)  # type: ignore[arg-type]  # the plan says that it is remote

    @available.parse_none
    def recover_model(self, plan: BuildPlan) -> Result:
        """Return the result of an earlier build, which could not publish it."""
        from dbt.adapters.postgres_ml.build.trained import recover

        with self._errors_of(plan.build.node.name):
            return recover(plan, self._closing())

    @available.parse_none
    def take_snapshot(self, plan: BuildPlan) -> Snapshot:
        """Start the training process, copy the rows: one consistent read."""
        from dbt.adapters.postgres_ml.build.trained import take_snapshot

        with self._errors_of(plan.build.node.name):
            return take_snapshot(plan, self._closing())

    @available.parse_none
    def train_model(self, snapshot: Snapshot) -> Result:
        """Return what the training process makes of the snapshot; called after the commit."""
        from dbt.adapters.postgres_ml.build.trained import train

        root = project_root(self.config)
        if self.config.credentials.mlflow_tracking_uri is None and not (root / "mlflow.db").exists():
            keep_out_of_git(root, None)
        with self._errors_of(snapshot.plan.build.node.name):
            return train(snapshot)

    @available.parse_none
    def check_gates(self, result: Result) -> Refusal | None:
        """Return why gates keep the model from being published; None if they don't."""
        from dbt.adapters.postgres_ml.build.gates import check_gates

        with self._errors_of(result.build.node.name):
            return check_gates(result)

    @available.parse_none
    def begin_publication(self) -> None:
        """Begin the transaction in which the node publishes, its second."""
        self.connections.begin_again()

    @available.parse_none
    def begin_if_idle(self) -> None:
        """Begin the transaction of an operation; in a node's own does nothing."""
        self.connections.begin_if_idle()

    @available.parse_none
    def check_not_overtaken(self, result: Result, newest: int) -> None:
        """Raise if another build published since this one decided what to do."""
        with self._errors_of(result.build.node.name):
            result.build.progress.begin("publish")
            result.plan.check_not_overtaken(newest)

    @available.parse_none
    def store_artifact(self, result: Result) -> str:
        """Check the server's Python, store the packed pipeline and return its digest (runtime python)."""
        from dbt.adapters.postgres_ml.build.runtimes import store_artifact

        build, artifact = result.build, result.trained.deployed.artifact
        with self._errors_of(build.node.name):
            path = build.config.credentials.server_python_path
            return store_artifact(build.open_cursor(), artifact, path)  # type: ignore[arg-type]  # asked before

    @available.parse_none
    def evaluate_endpoint(self, result: Result) -> Result:
        """Check that the service may be called; return the result with its scores, if there are rows."""
        from dbt.adapters.postgres_ml.build.publication import evaluate_endpoint

        with self._errors_of(result.build.node.name):
            return evaluate_endpoint(result, result.build, result.build.open_cursor())  # type: ignore[arg-type]

    @available.parse_none
    def publication_of(self, result: Result) -> Publication:
        """Return the functions to publish, and what their comments say."""
        from dbt.adapters.postgres_ml.build.publication import publication_of

        return publication_of(result.trained, result.build.spec.target)

    @available.parse_none
    def check_parity(self, result: Result) -> None:
        """Run the new functions on the parity rows in the publishing transaction; raise on a difference."""
        from dbt.adapters.postgres_ml.build.publication import check_functions

        with self._errors_of(result.build.node.name):
            check_functions(result, result.build.open_cursor())

    @available.parse_none
    def catalog_row(self, result: Result, version: int) -> str:
        """Return the new version's row of postgres_ml.model_version as JSON."""
        from dbt.adapters.postgres_ml.build.publication import version_row

        return version_row(result, version)

    @available.parse_none
    def finish_training(self, result: Result, version: int) -> None:
        """Mark the MLflow run as published; called after the commit.

        A failure is a warning: the function serves, and the nodes that use it must not be skipped.
        """
        from dbt.adapters.postgres_ml.build.publication import finish

        try:
            finish(result, version, self._closing())
        except PostgresMLError as error:
            logger.warning(
                f"{result.build.spec.name}: version {version} is published and serves, but its MLflow run "
                "could not be marked as the champion, which the next build does: "
                f"{' '.join(str(error).split())}"
            )

    @available.parse_none
    def create_model_response(self, result: Result, version: int) -> CreateModelResponse:
        """Return what the console and run_results.json show of a publication."""
        return response(result.trained, result.build.function, version, result.build.progress.n_warnings)

    @available.parse_none
    def kept_model_response(self, plan: BuildPlan, refusal: Refusal | None) -> CreateModelResponse:
        """Return what the console and run_results.json show of a build that published nothing new."""
        return kept_response(plan, refusal)

    def pre_model_hook(self, config: Any) -> None:
        """End what an interrupted node left to this thread."""
        self._close()

    def post_model_hook(self, config: Any, context: Any) -> None:
        """End this thread's training; dbt calls this after every node, also after one that failed.

        With --fail-fast a failed model ends the other trainings: dbt itself notices a failure when it takes
        the next node from its queue, and that may have none until one of these trainings is done.
        """
        self._close()
        if sys.exc_info()[0] is not None and getattr(get_flags(), "FAIL_FAST", False):
            self.connections.cancelled.set()

    def _closing(self) -> Closing:
        """Return what this thread's node has to close."""
        from dbt.adapters.postgres_ml.build.trained import Closing

        return self._closings.setdefault(threading.get_ident(), Closing())

    def _close(self) -> None:
        closing = self._closings.pop(threading.get_ident(), None)
        if closing is not None:
            closing.close()

    @contextmanager
    def _errors_of(self, name: str) -> Iterator[None]:
        """Turn the runtime's errors into dbt's, led by the model's name, and end the open transaction."""
        try:
            yield
        except PostgresMLError as error:
            self.connections.rollback_if_open()
            raise DbtRuntimeError(f"{name}: {error}") from error
        except DbtRuntimeError:
            self.connections.rollback_if_open()
            raise
        except psycopg2.Error as error:
            self.connections.rollback_if_open()
            raise DbtDatabaseError(f"{name}: {limits.explained(error)}") from error
        except OSError as error:  # of the node's folder: its disk is full, somebody removed it
            self.connections.rollback_if_open()
            where = f" ({error.filename})" if error.filename else ""
            raise DbtRuntimeError(f"{name}: {error.strerror or error}{where}") from error
