"""A service on loopback that writes what it is told, piece by piece, and remembers what it was asked."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
ANSWER = b'{"predictions": [1]}'


class SlowService:
    """Answers each request with the pieces of `answer`, waiting before each of them.

    Parameters
    ----------
    answer : gets the request's head and body, returns pieces
    wait : seconds before each piece
    """

    def __init__(self, answer: Callable[[bytes], Iterable[bytes]], wait: float = 0.0) -> None:
        self.answer, self.wait, self.requests = answer, wait, list[bytes]()
        self.sent = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            request = b""
            while b"\r\n\r\n" not in request:
                request += connection.recv(65536)
            head, _, body = request.partition(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
            while len(body) < length:
                body += connection.recv(65536)
            self.requests.append(head + b"\r\n\r\n" + body)
            for piece in self.answer(self.requests[-1]):
                time.sleep(self.wait)
                connection.sendall(piece)
                self.sent += len(piece)

    def close(self) -> None:
        """Accept no more connections."""
        self.listener.close()


def bytewise(data: bytes) -> Iterator[bytes]:
    """Yield byte by byte."""
    for k in range(len(data)):
        yield data[k : k + 1]


def forever(piece: bytes, before: bytes = b"") -> Iterator[bytes]:
    """Yield one piece, again and again."""
    return itertools.chain([before], itertools.repeat(piece))


#: answers that never end, by where they drip
DRIPS: dict[str, Callable[[bytes], Iterable[bytes]]] = {
    "nothing": lambda _: forever(b""),
    "status line": lambda _: bytewise(b"HTTP/1.1 200 " + b"O" * 1000),
    "interim answers": lambda _: forever(b"HTTP/1.1 100 Continue\r\n\r\n"),
    "headers": lambda _: bytewise(HEAD + b"x: " + b"y" * 1000),
    "header after header": lambda _: forever(b"x: y\r\n", HEAD),
    "body of a length": lambda _: forever(b" ", HEAD + b"content-length: 1000\r\n\r\n"),
    "body of no length": lambda _: forever(b" ", HEAD + b"\r\n"),
    "chunks": lambda _: forever(b"1\r\n \r\n", HEAD + b"transfer-encoding: chunked\r\n\r\n"),
    "one chunk": lambda _: forever(b" ", HEAD + b"transfer-encoding: chunked\r\n\r\nffff\r\n"),
    "trailers": lambda _: forever(b"x: y\r\n", HEAD + b"transfer-encoding: chunked\r\n\r\n0\r\n"),
    "body of an error": lambda _: forever(b" ", b"HTTP/1.1 500 No\r\ncontent-length: 1000\r\n\r\n"),
}
