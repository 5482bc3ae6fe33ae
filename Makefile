# `make demo` and `make test` set up all that they need in .venv by themselves.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
RUN = .venv/bin

.PHONY: demo test check docs clean

demo: .venv/ready
	cd samples/sentence-search && ../../$(RUN)/edgepack build --out ../../dist

test: .venv/ready check
	$(RUN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

check: .venv/ready
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy
	$(RUN)/lint-imports

docs: .venv/ready
	$(RUN)/python docs/make_commands.py
	$(RUN)/python docs/make_bundle_schema.py
	$(RUN)/python docs/make_supported_models.py

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(RUN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf .venv dist build .pytest_cache .mypy_cache .ruff_cache
