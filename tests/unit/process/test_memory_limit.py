"""What a training may take: the least that the machine and its cgroups allow."""

from pathlib import Path

import pytest
from postgres_ml.process import memory

GB = 10**9


def cgroup(root: Path, lines: str, files: dict[str, str]) -> Path:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(lines)
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("lines", "files", "limit"),
    [
        ("0::/\n", {"memory.max": "2000000000\n"}, 2 * GB),
        ("0::/jobs/one\n", {"jobs/one/memory.max": "max\n", "jobs/memory.max": f"{3 * GB}\n"}, 3 * GB),
        ("0::/jobs\n", {"jobs/memory.max": f"{99 * GB}\n"}, 8 * GB),
        (
            "5:cpu:/a\n4:memory:/docker/x\n",
            {"memory/docker/x/memory.limit_in_bytes": f"{GB}\n", "memory/memory.limit_in_bytes": f"{5 * GB}"},
            GB,
        ),
        ("4:memory:/x\n", {"memory/x/memory.limit_in_bytes": "9223372036854771712\n"}, 8 * GB),
    ],
)
def test_the_limit_is_the_least_of_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: str, files: dict[str, str], limit: int
) -> None:
    monkeypatch.setattr(memory, "total_bytes", lambda: 8 * GB)
    assert memory.limit_bytes(cgroup(tmp_path, lines, files)) == limit


def test_a_system_without_cgroups_has_the_machines_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "total_bytes", lambda: 8 * GB)
    assert memory.limit_bytes(tmp_path) == 8 * GB
    monkeypatch.setattr(memory, "total_bytes", lambda: None)
    assert memory.limit_bytes(tmp_path) is None
