"""Imports every command before a unit test runs: ctypes asks ldconfig for libc when asyncinotify is imported."""

from importlib import import_module

from appliance.cli.main import COMMANDS

for _module in COMMANDS.values():
    import_module(_module)
