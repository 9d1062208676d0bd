# Every target sets up what it needs from a bare clone. `make demo` runs the whole product.

PYTHON ?= python3
PORT ?= 8000
# The port of the demo's fake WeChat platform; 0 takes a free port.
PLATFORM_PORT ?= 0
BIN := .venv/bin
MANAGE := $(BIN)/python manage.py

.PHONY: help setup demo run check test test-quick test-large bench lock messages clean

help:
	@echo "make demo      the site with simulated followers, on port $(PORT) (PORT=...)"
	@echo "make run       the site alone"
	@echo "make test      make check, then the whole test suite"
	@echo "make test-quick  the tests without servers, browsers, races and admin pages, on SQLite"
	@echo "make test-large  a follower sync of 200,000 on both databases (FOLLOWERS_IN_TEST=...)"
	@echo "make check     lint, layers, types, migrations, translations, deployment settings"
	@echo "make bench     compares the callback with alternatives, as ratios; needs wrk (BENCH=...)"
	@echo "make setup     the virtual environment alone, in .venv/"
	@echo "make messages  collects and compiles the translations"
	@echo "make lock      pins the dependencies anew (needs uv)"
	@echo "make clean     removes .venv/, benchmarks/.venv/ and var/"

setup: .venv/installed

.venv/installed: requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name one with PYTHON=...")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@

demo: setup
	@exec $(MANAGE) demo --port $(PORT) --platform-port $(PLATFORM_PORT)

run: setup
	@exec $(MANAGE) serve --port $(PORT)

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .
	$(BIN)/lint-imports
	$(MANAGE) makemigrations --check --dry-run
	$(MANAGE) check_translations
	$(MANAGE) check
	DEBUG=False ALLOWED_HOSTS=wechat.example.com \
		SECRET_KEY="$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(50))')" \
		FIELD_ENCRYPTION_KEYS="$$($(BIN)/python -c 'import base64, os; print(base64.urlsafe_b64encode(os.urandom(32)).decode())')" \
		$(MANAGE) check --deploy --fail-level WARNING

test: check
	@.ci/suite

test-quick: setup
	$(BIN)/pytest -q -n 2 -m "not slow and not browser" --ignore-glob "*/tests/admin"

FOLLOWERS_IN_TEST ?= 200000
LARGE := FOLLOWERS_IN_TEST=$(FOLLOWERS_IN_TEST) $(BIN)/pytest -rP wechat_site/tests/test_follower_sync.py -k killed

test-large: setup
	$(LARGE)
	.ci/with-postgres env $(LARGE)

bench: setup benchmarks/.venv/installed
	@.ci/with-postgres $(BIN)/python -m benchmarks.callback $(BENCH)

# The programs that the benchmark compares this site with have an environment of their own.
benchmarks/.venv/installed: benchmarks/requirements.txt
	$(PYTHON) -m venv benchmarks/.venv
	benchmarks/.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

lock:
	uv pip compile --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" --quiet pyproject.toml -o requirements.txt
	uv pip compile --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" --quiet pyproject.toml --group dev -o requirements-dev.txt
	uv pip compile --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" --quiet benchmarks/requirements.in -o benchmarks/requirements.txt

messages: setup
	$(MANAGE) makemessages --locale zh_Hans --no-obsolete --no-location --ignore 'var/*' --ignore '.venv/*' --ignore 'benchmarks/.venv/*' --ignore '*/tests/*'
	$(MANAGE) compilemessages --ignore .venv

clean:
	rm -rf .venv benchmarks/.venv var
