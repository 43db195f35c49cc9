"""Sends a request and reads its answer by a deadline, in short steps between which a query can be cancelled.

The source of this module stands in the functions, before that of `client`: standard library only.
"""

from __future__ import annotations

import errno
import http.client
import io
import os
import selectors
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

SLICE = 0.25  # seconds: the longest wait without a look at the deadline and for a cancelled query
HEAD = 65536  # bytes of status line and headers
PIECE = 65536
UNDERWAY = (0, errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EAGAIN)


class Overdue(Exception):  # what the server is
    """The deadline has passed."""


class TooLong(Exception):  # what the answer is
    """The answer is longer than any that fits the rows sent."""


class Clock:
    """A deadline.

    Parameters
    ----------
    seconds : from now
    sleep : waits for some seconds, 0 included, and raises if the query was cancelled
    """

    def __init__(self, seconds: float, sleep: Callable[[float], Any]) -> None:
        self.end, self.sleep_for = time.monotonic() + seconds, sleep
        self.looked = time.monotonic()

    def left(self) -> float:
        """Return the seconds left; raises `Overdue` if there are none."""
        left = self.end - time.monotonic()
        if left <= 0:
            raise Overdue
        return left

    def look(self) -> None:
        """Raise if the deadline has passed or, at most every `SLICE` seconds, if the query was cancelled."""
        self.left()
        if time.monotonic() - self.looked >= SLICE:
            self.sleep_for(0.0)
            self.looked = time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait, no longer than the deadline; raises if the query is cancelled."""
        self.sleep_for(min(seconds, self.left()))

    def wait(self, sock: Any, event: int, end: float | None = None) -> None:
        """Wait until the socket can be read or written, or raise `Overdue` at the deadline or at `end`."""
        with getattr(selectors, "PollSelector", selectors.SelectSelector)() as selector:
            selector.register(sock, event)
            while True:
                left = self.left() if end is None else min(self.left(), end - time.monotonic())
                if left <= 0:
                    raise Overdue
                if selector.select(min(left, SLICE)):
                    return
                self.look()


class Stream(io.RawIOBase):
    """The bytes that a socket receives, up to a limit, which the reader of the head raises for the body."""

    def __init__(self, sock: Any, clock: Clock) -> None:
        super().__init__()
        self.sock, self.clock = sock, clock
        self.received, self.limit = 0, 2 * HEAD

    def readable(self) -> bool:
        """Return that it is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read what there is, at least one byte unless the other side has closed."""
        while True:
            self.clock.look()
            try:
                count = int(self.sock.recv_into(buffer))
            except (ssl.SSLWantReadError, BlockingIOError):
                self.clock.wait(self.sock, selectors.EVENT_READ)
                continue
            except ssl.SSLWantWriteError:
                self.clock.wait(self.sock, selectors.EVENT_WRITE)
                continue
            self.received += count
            if self.received > self.limit:
                raise TooLong
            return count


class Line:
    """A connection as `http.client` uses a socket."""

    def __init__(self, sock: Any, clock: Clock) -> None:
        self.sock, self.clock = sock, clock
        self.stream: Stream | None = None

    def sendall(self, data: bytes) -> None:
        """Send all of the data, by the deadline."""
        rest = memoryview(data)
        while rest:
            self.clock.look()
            try:
                rest = rest[self.sock.send(rest[:PIECE]) :]
            except (ssl.SSLWantWriteError, BlockingIOError):
                self.clock.wait(self.sock, selectors.EVENT_WRITE)
            except ssl.SSLWantReadError:
                self.clock.wait(self.sock, selectors.EVENT_READ)

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Return what is received from now on."""
        self.stream = Stream(self.sock, self.clock)
        return io.BufferedReader(self.stream)

    def is_quiet(self) -> bool:
        """Return whether the other side sent nothing, not even the end, since the last answer."""
        with getattr(selectors, "PollSelector", selectors.SelectSelector)() as selector:
            selector.register(self.sock, selectors.EVENT_READ)
            return not selector.select(0)

    def close(self) -> None:
        """Do nothing: http.client closes before the body of a last answer is read."""

    def hang_up(self) -> None:
        """Close the connection."""
        self.sock.close()


def connect(host: str, port: int, context: ssl.SSLContext | None, clock: Clock) -> Line:
    """Return a connection to the first address that answers, with TLS if there is a context.

    Raises
    ------
    Overdue
        No address answers in its share of the time that is left.
    OSError
        The name is unknown, all addresses refuse, or TLS fails.
    """
    addresses = _resolve(host, port, clock)
    for position, (family, kind, protocol, _, address) in enumerate(addresses):
        sock = socket.socket(family, kind, protocol)
        try:
            _reach(sock, address, time.monotonic() + clock.left() / (len(addresses) - position), clock)
            if context is not None:
                sock = _with_tls(sock, host, context, clock)
            return Line(sock, clock)
        except (OSError, Overdue) as error:
            sock.close()
            if position == len(addresses) - 1 or isinstance(error, ssl.SSLError):
                raise
        except BaseException:
            sock.close()
            raise
    raise OSError(f"{host} has no address")


def _resolve(host: str, port: int, clock: Clock) -> list[Any]:
    """Return the host's addresses; a name is asked for in a thread, since the resolver has no deadline."""
    try:
        return socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM, 0, socket.AI_NUMERICHOST)
    except socket.gaierror:
        pass
    found: list[Any] = []

    def ask() -> None:
        try:
            found.append(socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            found.append(OSError(getattr(error, "strerror", None) or "its name is none"))

    # the server's signals are for its own thread: a new one inherits that all are blocked
    mask = getattr(signal, "pthread_sigmask", None)
    before = mask(signal.SIG_BLOCK, signal.valid_signals()) if mask else None
    try:
        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
    finally:
        if mask:
            mask(signal.SIG_SETMASK, before)
    while thread.is_alive():
        thread.join(min(SLICE, clock.left()))
        clock.look()
    if isinstance(found[0], OSError):
        raise found[0]
    return list(found[0])


def _reach(sock: socket.socket, address: Any, end: float, clock: Clock) -> None:
    sock.setblocking(False)
    code = sock.connect_ex(address)
    if code in UNDERWAY:
        clock.wait(sock, selectors.EVENT_WRITE, end)
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise OSError(code, os.strerror(code))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _with_tls(sock: socket.socket, host: str, context: ssl.SSLContext, clock: Clock) -> ssl.SSLSocket:
    secured = context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
    try:
        while True:
            clock.look()
            try:
                secured.do_handshake()
                return secured
            except ssl.SSLWantReadError:
                clock.wait(secured, selectors.EVENT_READ)
            except ssl.SSLWantWriteError:
                clock.wait(secured, selectors.EVENT_WRITE)
    except BaseException:
        secured.close()
        raise


def exchange(
    line: Line, host: str, path: str, body: bytes, headers: Mapping[str, str], allowed: int
) -> tuple[http.client.HTTPResponse, bytes]:
    """Return the answer to a POST request and its body; of one that is no success, the beginning.

    Parameters
    ----------
    host : of the header of this name
    allowed : bytes of a success's body

    Raises
    ------
    TooLong
        The head or the body has more bytes than it may.
    OSError, HTTPException
        The connection breaks, or the answer isn't HTTP.
    """
    connection = http.client.HTTPConnection("endpoint")
    connection.sock = line  # it has what http.client uses of a socket
    connection.auto_open = 0
    connection.request("POST", path, body, {"host": host, **headers})
    response = connection.getresponse()
    assert line.stream is not None
    if response.status != 200:
        return response, response.read(PIECE)
    line.stream.limit = line.stream.received + HEAD + 8 * allowed  # a chunk of one byte takes six
    expected = response.length
    if expected is not None and expected > allowed:
        raise TooLong
    content = b""
    while piece := response.read(min(PIECE, allowed + 1 - len(content))):
        content += piece
        if len(content) > allowed:
            raise TooLong
    if expected is not None and len(content) < expected:
        raise http.client.IncompleteRead(content, expected - len(content))
    return response, content
