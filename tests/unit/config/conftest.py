"""Imports the daemon before a unit test calls it: ctypes asks ldconfig for libc when asyncinotify is imported."""

from importlib import import_module

import_module("appliance.cli.director")
