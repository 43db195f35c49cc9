"""What the parts of the adapter share: this thread's cursor, and the manifest's nodes."""

from __future__ import annotations

from typing import Any

from dbt.adapters.postgres.impl import PostgresAdapter
from dbt.adapters.postgres_ml.connections import PostgresMLConnectionManager


class SessionAdapter(PostgresAdapter):
    """dbt-postgres, with connections of this adapter."""

    connections: PostgresMLConnectionManager

    def _node(self, unique_id: str) -> Any:
        resolver = self.get_macro_resolver()
        return resolver.nodes[unique_id]  # type: ignore[union-attr]  # at run time it is the manifest

    def _nodes(self) -> list[Any]:
        return list(self.get_macro_resolver().nodes.values())  # type: ignore[union-attr]  # as in _node

    def _answering_cursor(self) -> Any:
        """Return a cursor outside of a transaction, of a new connection if the server has ended this one."""
        self.connections.reconnect_if_lost()
        return self.connections.get_thread_connection().handle.cursor()

    def _open_cursor(self) -> Any:
        """Return a cursor in this thread's transaction, which begins here if none is open."""
        return self.connections.cursor()
