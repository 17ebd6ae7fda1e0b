# Every target does its own set-up; see packaging/dev/setup.sh for what that is.
# PYTHON=…  chooses the interpreter of the virtualenvs (3.11 or later).
# ARGS=…    goes to pytest, or to the benchmarks.
# SCENARIO=… chooses scenarios of tests/vm; KEEP=1 leaves the machine running; RELEASE=trixie.

SHELL = /bin/sh
setup = packaging/dev/setup.sh

.PHONY: help demo test check format bench deb vm bare clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile | expand -t 16

demo:  ## serve packaging/examples/ until Ctrl-C
	@$(setup) product
	@packaging/dev/demo.sh

test:  ## run all tests (ARGS="-k harakiri" chooses some)
	@$(setup) dev tenant uwsgi
	.venv/bin/pytest -n 4 --dist worksteal $(ARGS)

check:  ## lint, formatting, types, import contracts, README
	@$(setup) dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports --no-cache
	.venv/bin/python packaging/dev/check_readme.py

format:  ## format the code and apply ruff's safe fixes
	@$(setup) dev
	.venv/bin/ruff check --fix-only --quiet .
	.venv/bin/ruff format .

bench:  ## measure beside uWSGI and gunicorn (ARGS="--quick harakiri")
	@$(setup) product bench tenant
	.venv/bin/python -m benchmarks $(ARGS)

deb:  ## build the Debian package in dist/ (RELEASE=trixie: for another Debian)
	@$(setup) product deb $(if $(RELEASE),vm)
	@packaging/deb/build.sh $(RELEASE)

vm:  ## run tests/vm in a virtual machine (SCENARIO=service KEEP=1)
	@$(setup) product deb vm
	@.venv/bin/python -m tests.vm.run $(if $(KEEP),--keep) --release $(or $(RELEASE),bookworm) \
		$(ARGS:%=--pytest=%) $(SCENARIO)

bare:  ## make demo on a bare Debian (RELEASE=trixie; TESTS="tests/unit": make test too)
	@$(setup) vm
	@packaging/dev/bare.sh $(or $(RELEASE),bookworm) "$(TESTS)"

clean:  ## remove the virtualenvs, caches and build products
	rm -rf .venv .venv-tenant .cache build dist *.egg-info
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
