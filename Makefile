# `make demo` and `make test` set up all that they need in .venv by themselves.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
RUN = .venv/bin

.PHONY: demo test check docs clean

demo: .venv/ready
	cd samples/sentence-search && ../../$(RUN)/edgepack build --out ../../dist

# the checks use one processor for a minute: they run beside the tests
test: .venv/ready
	make --no-print-directory check & checks=$$!; \
	$(RUN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder; tests=$$?; \
	wait $$checks && exit $$tests

check: .venv/ready
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy
	$(RUN)/lint-imports

docs: .venv/ready
	$(RUN)/python docs/make_commands.py
	$(RUN)/python docs/make_bundle_schema.py
	$(RUN)/python docs/make_supported.py

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(RUN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf .venv dist build .pytest_cache .mypy_cache .ruff_cache
