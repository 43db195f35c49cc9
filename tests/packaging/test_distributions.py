"""What wheel and source archive hold: all of the macros and the runtime, and nothing else."""

from __future__ import annotations

import configparser
import email
import hashlib
import re
import runpy
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml

INCLUDE = "dbt/include/postgres_ml"
LIBRARIES = {f"postgres_ml/_native/plmodel-{major}.so" for major in (16, 18)}


def contents(wheel: Path) -> dict[str, str]:
    """Digest of each file of a wheel, without its metadata."""
    with zipfile.ZipFile(wheel) as archive:
        return {
            name: hashlib.sha256(archive.read(name)).hexdigest()
            for name in archive.namelist()
            if ".dist-info/" not in name
        }


def metadata(wheel: Path, name: str) -> str:
    with zipfile.ZipFile(wheel) as archive:
        (path,) = (found for found in archive.namelist() if found.endswith(f".dist-info/{name}"))
        return archive.read(path).decode()


def tree(root: Path, prefix: str, *patterns: str) -> dict[str, str]:
    """Digest of each file below a folder, by the path that it has in a wheel."""
    return {
        f"{prefix}/{path.relative_to(root).as_posix()}": hashlib.sha256(path.read_bytes()).hexdigest()
        for pattern in patterns
        for path in root.rglob(pattern)
    }


def test_wheel_holds_the_sources_and_nothing_else(distributions):
    sources = distributions.sources
    include = sources / "adapter" / INCLUDE
    expected = {
        **tree(sources / "adapter" / "dbt" / "adapters", "dbt/adapters", "*.py", "*.schema.json"),
        **tree(include, INCLUDE, "__init__.py", "dbt_project.yml", "profile_template.yml"),
        **tree(sources / "macros", f"{INCLUDE}/macros", "*.sql", "*.yml"),
        **tree(sources / "python_runtime" / "postgres_ml", "postgres_ml", "*.py", "py.typed"),
    }
    assert len(expected) > 60
    assert {
        name: digest for name, digest in contents(distributions.wheel).items() if name not in LIBRARIES
    } == expected


def test_wheel_holds_the_native_runtime_for_the_embedded_server(distributions):
    """Where it could be built; the wheel is then of this platform, and of any Python still."""
    found = sorted(LIBRARIES & set(contents(distributions.wheel)))
    assert found == (sorted(LIBRARIES) if shutil.which("cc") else [])
    tags = re.findall(r"^Tag: (\S+)$", metadata(distributions.wheel, "WHEEL"), re.M)
    assert all(tag.startswith("py3-none-") for tag in tags) and (tags == ["py3-none-any"]) == (not found)


def test_the_description_has_no_link_that_leads_nowhere(distributions):
    description = metadata(distributions.wheel, "METADATA").partition("\n\n")[2]
    assert "# dbt-postgres-ml" in description
    assert re.findall(r"\]\((?!https://|#)[^)]*\)", description) == []


def test_every_macro_file_is_one_that_the_wheel_carries(distributions):
    """A file that neither pattern of the test above matches would be missed by it."""
    suffixes = {path.suffix for path in (distributions.sources / "macros").rglob("*") if path.is_file()}
    assert suffixes <= {".sql", ".yml"}


def test_every_folder_of_the_runtime_is_a_package(distributions):
    """setuptools leaves out a folder without __init__.py and says nothing."""
    runtime = distributions.sources / "python_runtime" / "postgres_ml"
    folders = {path.parent for path in runtime.rglob("*.py")}
    assert {folder for folder in folders if not (folder / "__init__.py").is_file()} == set()


def test_wheel_of_the_source_archive_is_the_same(distributions):
    assert set(contents(distributions.wheel_of_sdist)) == set(contents(distributions.wheel))
    for name, digest in contents(distributions.wheel).items():
        # a compiler writes the sources' folder into a library
        assert name in LIBRARIES or contents(distributions.wheel_of_sdist)[name] == digest


def test_source_archive_holds_no_tests_and_no_caches(distributions):
    with tarfile.open(distributions.sdist) as archive:
        names = [name.split("/", 1)[1] for name in archive.getnames() if "/" in name]
    assert {"dbt_project.yml", "setup.py", "LICENSE", "README.md", "macros/predict.sql"} <= set(names)
    assert [name for name in names if name.startswith("tests") or "__pycache__" in name] == []


def test_one_version(distributions):
    sources = distributions.sources
    version = runpy.run_path(str(sources / "adapter/dbt/adapters/postgres_ml/__version__.py"))["version"]
    assert email.message_from_string(metadata(distributions.wheel, "METADATA"))["Version"] == version
    for path in ("dbt_project.yml", f"adapter/{INCLUDE}/dbt_project.yml"):
        assert yaml.safe_load((sources / path).read_text())["version"] == version, path


def test_console_script(distributions):
    scripts = configparser.ConfigParser()
    scripts.read_string(metadata(distributions.wheel, "entry_points.txt"))
    assert dict(scripts["console_scripts"]) == {"postgres-ml": "postgres_ml.cli:main"}


@pytest.mark.parametrize("name", ["dbt-core", "dbt-postgres", "scikit-learn", "mlflow", "xgboost-cpu"])
def test_requirements(distributions, name):
    required = email.message_from_string(metadata(distributions.wheel, "METADATA")).get_all("Requires-Dist")
    assert any(line.split(";")[0].startswith(name) for line in required)
