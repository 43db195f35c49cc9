"""The adapter's lines in dbt's log: dbt's own adapter events, less the prefix that each would have."""

from __future__ import annotations

from typing import Any

from dbt.adapters.events import types
from dbt.adapters.events.logging import AdapterLogger
from dbt_common.events.base_types import BaseEvent
from dbt_common.events.contextvars import get_node_info
from dbt_common.events.functions import fire_event
from dbt_common.ui import warning_tag

NAME = "dbt-postgres-ml"


def _text(event: Any) -> str:
    return str(event.base_msg.format(*event.args) if event.args else event.base_msg)


# dbt finds an event's fields by the name of its class, so these have the names of the classes they replace.
class AdapterEventDebug(types.AdapterEventDebug):
    """A line of the debug log."""

    def message(self) -> str:
        """Return the line."""
        return _text(self)


class AdapterEventInfo(types.AdapterEventInfo):
    """A line of the console."""

    def message(self) -> str:
        """Return the line."""
        return _text(self)


class AdapterEventWarning(types.AdapterEventWarning):
    """A warning."""

    def message(self) -> str:
        """Return the line, tagged and coloured as dbt's own warnings are."""
        return str(warning_tag(_text(self)))


class Logger(AdapterLogger):
    """dbt's logger of an adapter, without `{name} adapter: ` in front of each line."""

    def debug(self, msg: Any, *args: Any) -> None:
        """Log for the debug log."""
        self._fire(AdapterEventDebug, msg, args)

    def info(self, msg: Any, *args: Any) -> None:
        """Log for the console."""
        self._fire(AdapterEventInfo, msg, args)

    def warning(self, msg: Any, *args: Any) -> None:
        """Warn on the console."""
        self._fire(AdapterEventWarning, msg, args)

    def warn_or_error(self, msg: Any, *args: Any) -> None:
        """Warn of what changes the result: raises an error under `--warn-error`, as dbt's own warnings do."""
        self._fire(AdapterEventWarning, msg, args, is_strict=True)

    def _fire(
        self, event: type[BaseEvent], msg: Any, args: tuple[Any, ...], *, is_strict: bool = False
    ) -> None:
        fired = event(name=self.name, base_msg=str(msg), args=list(args), node_info=get_node_info())
        fire_event(fired, force_warn_or_error_handling=is_strict)


logger = Logger(NAME)
