"""The process that outlives the clients: starts the server, and stops it some seconds after the last client.

Run as a script by `python -I -S supervisor.py ROOT LOCK UID GID [postgres ...]`. It imports seven small
modules and nothing of this package, so that it costs 8 MB of memory while the dbt that started it takes
hundreds. The rest of the package takes from here what it must know about the postmaster's process.

A client is whoever holds a shared flock on `clients.lock`. The kernel drops that however the client dies; a
list of process ids, which others keep, has the server run for ever after one kill -9.
"""

# pathlib would nearly double the modules that stay in memory
# ruff: noqa: PTH106, PTH108, PTH110, PTH115, PTH116, PTH118, PTH123, PTH208
from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import sys
import time

SOCKET = ".s.PGSQL.5432"
SOCKET_LOCK = SOCKET + ".lock"
HAS_PROC = os.path.exists("/proc/self/stat")
TICK = 0.5  # seconds between two looks at the clients
FAST_SHUTDOWN_S = 300.0  # a fast shutdown writes a checkpoint, at most max_wal_size of it
PR_SET_PDEATHSIG = 1  # linux/prctl.h


def start_time(pid: int) -> str | None:
    """What tells a process from a later one of the same id; None when it is dead or a zombie."""
    if not HAS_PROC:
        return _ps(pid, "lstart")
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def _ps(pid: int, column: str) -> str | None:
    """A column of ps, for systems without /proc (macOS; not tested there)."""
    import subprocess

    answer = subprocess.run(
        ["ps", "-ww", "-o", f"state=,{column}=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    state, _, value = answer.stdout.strip().partition(" ")
    return value.strip() if state and not state.startswith("Z") else None


def serves(pid: int, data: str) -> bool:
    """Whether a live process is the postmaster of a data directory; false for a recycled process id."""
    if not HAS_PROC:
        return data in (_ps(pid, "command") or "")
    if start_time(pid) is None:
        return False
    try:
        return os.readlink(f"/proc/{pid}/cwd") == data
    except PermissionError:  # root without CAP_SYS_PTRACE, as in Docker, and the server of another user
        return data in _command_line(pid)
    except OSError:
        return False


def _command_line(pid: int) -> list[str]:
    try:
        with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="surrogateescape") as file:
            return file.read().split("\0")
    except OSError:
        return []


def read_pid_file(data: str) -> list[str]:
    """The lines of postmaster.pid: pid, data, start, port, socket directory, address, memory, status."""
    try:
        with open(os.path.join(data, "postmaster.pid"), encoding="utf-8", errors="surrogateescape") as file:
            return file.read().split("\n")
    except OSError:
        return []


def postmaster_pid(data: str) -> int | None:
    """The process id of the postmaster that serves a data directory, or None."""
    lines = read_pid_file(data)
    try:
        pid = int(lines[0]) if lines else 0
    except ValueError:
        return None
    return pid if pid > 0 and serves(pid, data) else None


def try_lock(descriptor: int) -> bool:
    """Whether the exclusive lock could be had at once."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def end_orphans(data: str) -> None:
    """End the backends of a postmaster that died: one in a long query would go on for as long as that takes.

    Only where /proc shows them; elsewhere a new server waits until they notice.
    """
    for number in (signal.SIGQUIT, signal.SIGKILL):
        deadline = time.monotonic() + 5.0
        while postmaster_pid(data) is None and (left := _backends(data)) and time.monotonic() < deadline:
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            time.sleep(0.02)


def _backends(data: str) -> list[int]:
    """The processes named postgres that are in a data directory, which may have been deleted."""
    if not HAS_PROC:
        return []
    found = []
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/{pid}/cwd").removesuffix(" (deleted)") != data or start_time(pid) is None:
                continue
            with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
                if file.read().strip() == "postgres":
                    found.append(pid)
    return found


class Supervisor:
    """One server and the directory it belongs to.

    Parameters
    ----------
    root : the embedded server's directory
    pid : of its postmaster, a child of this process or, when an earlier supervisor was killed, adopted
    socket_directory : removed in the end unless it is `root`
    """

    def __init__(self, root: str, pid: int, socket_directory: str) -> None:
        self.root = root
        self.data = os.path.join(root, "data")
        self.pid = pid
        self.born = start_time(pid)
        self.socket_directory = socket_directory
        self.clients = os.open(os.path.join(root, "clients.lock"), os.O_RDWR | os.O_CREAT, 0o600)
        self.starting = os.open(os.path.join(root, "start.lock"), os.O_RDWR | os.O_CREAT, 0o600)
        self.told_to_stop = False
        self._wakeup = self._wake_on_signals()

    def _wake_on_signals(self) -> int:
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._stop_soon)
        return reader

    def _stop_soon(self, *_: object) -> None:
        self.told_to_stop = True

    def _pause(self, seconds: float) -> None:
        """Sleep, but wake at once when the server ends."""
        select.select([self._wakeup], [], [], seconds)
        with contextlib.suppress(BlockingIOError):
            os.read(self._wakeup, 512)

    def run(self) -> None:
        """Watch until the server has ended, by itself or by us, and leave nothing of it behind."""
        idle_since: float | None = None
        last_joined = self._last_joined()
        while not self._ended():
            if not self._still_there():
                self._end_lost()
                break
            if self.told_to_stop:
                self._stop()
                break
            joined = self._last_joined()
            if self._has_clients() or joined != last_joined:
                idle_since, last_joined = None, joined
            elif idle_since is None:
                idle_since = time.monotonic()
            if (
                idle_since is not None
                and time.monotonic() - idle_since >= self._linger()
                and self._stop_idle()
            ):
                break
            self._pause(TICK)
        end_orphans(self.data)
        self._remove_socket_directory()

    def _ended(self) -> bool:
        try:
            return os.waitpid(self.pid, os.WNOHANG)[0] != 0
        except ChildProcessError:  # adopted
            return self.born is None or start_time(self.pid) != self.born

    def _still_there(self) -> bool:
        """Whether the directory is still the one that was started in: not deleted, moved or made anew."""
        try:
            return os.path.samestat(os.stat(os.path.join(self.root, "clients.lock")), os.fstat(self.clients))
        except OSError:
            return False

    def _has_clients(self) -> bool:
        if os.path.exists(os.path.join(self.root, "keep")) or not try_lock(self.clients):
            return True
        fcntl.flock(self.clients, fcntl.LOCK_UN)
        return False

    def _last_joined(self) -> int:
        try:
            return os.stat(os.path.join(self.root, "linger")).st_mtime_ns
        except OSError:
            return 0

    def _linger(self) -> float:
        try:
            with open(os.path.join(self.root, "linger"), encoding="ascii") as file:
                return float(file.read())
        except (OSError, ValueError):
            return 10.0

    def _stop_idle(self) -> bool:
        """Stop the server unless someone joined meanwhile; whoever holds start.lock is about to."""
        if not try_lock(self.starting):
            return False
        try:
            if self._has_clients():
                return False
            self._stop()
        finally:
            fcntl.flock(self.starting, fcntl.LOCK_UN)
        return True

    def _stop(self) -> None:
        """Fast shutdown (SIGINT); immediate (SIGQUIT), then SIGKILL, when the one before has no effect."""
        for number, patience in (
            (signal.SIGINT, FAST_SHUTDOWN_S),
            (signal.SIGQUIT, 10.0),
            (signal.SIGKILL, 10.0),
        ):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)
            deadline = time.monotonic() + patience
            while time.monotonic() < deadline:
                if self._ended():
                    return
                self._pause(0.05)

    def _end_lost(self) -> None:
        """End the server of a directory that is gone.

        It removes its socket by path when it ends in any way but SIGKILL, so when another server has been
        started at the same path meanwhile, SIGKILL it must be.
        """
        number = signal.SIGKILL if os.path.exists(self.root) else signal.SIGQUIT
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)
        self._stop()

    def _remove_socket_directory(self) -> None:
        if self.socket_directory != self.root:
            for name in (SOCKET, SOCKET_LOCK):  # of a server that was killed
                with contextlib.suppress(OSError):
                    os.unlink(os.path.join(self.socket_directory, name))
            with contextlib.suppress(OSError):
                os.rmdir(self.socket_directory)


def _end_with_parent() -> None:
    """Have Linux shut the server down when the supervisor is killed; elsewhere the next client adopts it."""
    if sys.platform != "linux":
        return
    try:
        import ctypes
    except ImportError:  # Python built without libffi
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0)


def spawn(command: list[str], uid: int, gid: int) -> int:
    """Start the postmaster in a session of its own; its process id. A negative uid keeps the present user."""
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setsid()
        os.umask(0o077)
        if uid >= 0:
            os.setgroups([])
            os.setgid(gid)
            os.setuid(uid)
        _end_with_parent()
        if os.getppid() == parent:
            os.execv(command[0], command)
    except OSError as error:
        os.write(2, f"{command[0]}: {error}\n".encode())
    finally:
        os._exit(127)


def main(arguments: list[str]) -> None:
    """Leave the client's process tree, then start (or adopt, when no command is given) and watch a server."""
    root, lock, uid, gid, *command = arguments
    os.set_inheritable(int(lock), False)  # ours for life, never the server's
    if os.fork():
        os._exit(0)
    os.setsid()
    os.chdir("/")
    if command:
        Supervisor(root, spawn(command, int(uid), int(gid)), command[command.index("-k") + 1]).run()
    elif pid := postmaster_pid(os.path.join(root, "data")):
        Supervisor(root, pid, read_pid_file(os.path.join(root, "data"))[4]).run()


if __name__ == "__main__":
    main(sys.argv[1:])
