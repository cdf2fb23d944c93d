#!/bin/sh
# Runs in a root of the node's Debian release: everything requirements.lock names, as wheels in /build/wheels.
set -eu
cd /build
python3 -m venv --system-site-packages venv  # it sees Debian's setuptools and wheel, and needs no others
# Only systemd-python may be compiled: whatever else has no wheel is a mistake in the lock, not work for a compiler.
exec venv/bin/pip wheel --quiet --disable-pip-version-check --no-cache-dir \
  --require-hashes --no-deps --no-build-isolation --only-binary :all: --no-binary systemd-python \
  --wheel-dir wheels --requirement requirements.lock
