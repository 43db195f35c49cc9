"""How much memory a process has used, and whether it ended for want of it. Stdlib only."""

from __future__ import annotations

import ctypes
import errno
import os
import re
import sys
from pathlib import Path

PEAK = re.compile(r"^VmHWM:\s*(\d+) kB", re.MULTILINE)
#: what libraries say whose own allocation failed: C++, glibc's loader and threads, OpenBLAS, libgomp, modules
SHORTAGE = re.compile(
    r"bad[_ ]m?alloc|MemoryError|cannot allocate memory|memory allocation (still )?failed|out of memory"
    r"|can't start new thread|failed to map segment|thread creation failed|pthread_create failed"
    r"|error return without exception set",
    re.IGNORECASE,
)

_before_forks = 0


def peak_bytes(pid: int) -> int | None:
    """Return the most that a running process has had in memory; None where /proc doesn't tell."""
    try:
        found = PEAK.search(Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace"))
    except OSError:
        return None
    return None if found is None else int(found[1]) * 1024


def total_bytes() -> int | None:
    """Return the machine's memory; None where the system doesn't tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return None


def limit_bytes(root: Path = Path("/")) -> int | None:
    """Return the least that machine and cgroups allow this process; None where the system doesn't tell.

    Of a cgroup the limits of its parents hold as well; a container sees its own as the root.

    Parameters
    ----------
    root : of the file system, for tests
    """
    limits = [total_bytes()]
    for folder, name in _cgroups(root):
        limits += [_number(place / name) for place in (folder, *folder.parents)]
    return min((limit for limit in limits if limit is not None), default=None)


def _cgroups(root: Path) -> list[tuple[Path, str]]:
    """Return the folders of this process's cgroups that limit memory, and the file of the limit in them."""
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []
    found = []
    mount = root / "sys/fs/cgroup"
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:  # version 2
            found.append((mount / path.lstrip("/"), "memory.max"))
        elif "memory" in controllers.split(","):
            found.append((mount / "memory" / path.lstrip("/"), "memory.limit_in_bytes"))
    return found


def _number(path: Path) -> int | None:
    try:
        text = path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def used_bytes() -> int:
    """Return what this process has in memory now, or had when it was forked; 0 where /proc doesn't tell.

    A fork has the pages of its libraries' files in memory only when it comes to use them.
    """
    return max(resident_bytes(), _before_forks)


def remember_before_forks() -> None:
    """Let the forks of this process, which has imported their libraries, count these as their own."""
    global _before_forks
    _before_forks = resident_bytes()


def resident_bytes() -> int:
    """Return what this process has in memory now; 0 where /proc doesn't tell."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    except OSError:
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def give_back() -> None:
    """Return what the C library keeps of freed memory to the system, where it is glibc.

    What many batches have left in pieces can be as much as a fit takes.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def in_units(n_bytes: int) -> str:
    """Return a size for people: '312 MB', '4.1 GB'."""
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.0f} MB"


def is_shortage(error: BaseException | None) -> bool:
    """Return whether an error, or what caused it, is a want of memory.

    NumPy raises MemoryError; xgboost, the loader of extension modules and threads have errors of their own.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
            return True
        if isinstance(error, ImportError | RuntimeError | ValueError) and SHORTAGE.search(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False


def use_text(peak: int | None) -> str:
    """Return ' after using 312 MB of the machine's 16.0 GB'; empty where that isn't known."""
    if peak is None:
        return ""
    total = total_bytes()
    whole = "" if total is None else f" of the machine's {in_units(total)}"
    return f" after using {in_units(peak)}{whole}"
