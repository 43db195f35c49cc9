"""A port of this machine's that leads to a Unix socket: for clients that can't name one."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def tcp_door(path: Path) -> Iterator[int]:
    """Yield a port on 127.0.0.1 whose connections go to the socket at the path, until the end."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        threading.Thread(target=_serve, args=(door, path), daemon=True).start()
        yield door.getsockname()[1]


def _serve(door: socket.socket, path: Path) -> None:
    with contextlib.suppress(OSError):  # the door is closed
        while True:
            client, _ = door.accept()
            threading.Thread(target=_join, args=(client, path), daemon=True).start()


def _join(client: socket.socket, path: Path) -> None:
    with client, socket.socket(socket.AF_UNIX) as server:
        server.connect(str(path))
        back = threading.Thread(target=_pass_on, args=(server, client), daemon=True)
        back.start()
        _pass_on(client, server)
        back.join()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
