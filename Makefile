.PHONY: venv test
venv: .venv/.done
.venv/.done: requirements-dev.lock pyproject.toml
	python3 -m venv .venv
	.venv/bin/pip install -q --require-hashes -r requirements-dev.lock
	.venv/bin/pip install -q --no-deps --no-build-isolation -e .
	touch $@
test: venv
	.venv/bin/python -m pytest tests/unit/decide tests/unit/director tests/unit/model
