"""Boot an image and run tests/image on it: ``python -m image.verify IMAGE [START ...] [pytest's options]``.

START is ``bios`` or ``uefi`` (from its disk), ``netboot`` (by what is published beside it) or ``firstboot`` (machines
that start with a configuration on a stick, and are started by the tests themselves); all of them, if none is named.
Run by the Python that has pytest-testinfra (image/requirements.lock). A node that stands already is tested without
this: ``pytest tests/image -m 'not (bed or firstboot)' --hosts=ssh://root@NODE``.
"""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal

from image.qemu import booted

ROOT = Path(__file__).parents[1]
Start = Literal["bios", "uefi", "netboot", "firstboot"]
STARTS: tuple[Start, ...] = ("bios", "uefi", "netboot", "firstboot")
# QEMU's name for the machine that it runs on.
OUTSIDE = "10.0.2.2"


def verify(disk: Path, start: Start, options: list[str]) -> int:
    """The exit status of the tests on this image, started this way.

    Raises:
        TimeoutError: it does not boot.
    """
    with ExitStack() as stack:
        if start == "firstboot":
            return _tests([f"--published={disk.parent}", "-m", "firstboot", *options])
        if start == "netboot":
            port = stack.enter_context(_served(disk.parent / "netboot"))
            node = stack.enter_context(booted(f"http://{OUTSIDE}:{port}/boot.ipxe", "bios"))
        else:
            node = stack.enter_context(booted(disk, start))
        sys.stderr.write(f"verify: {disk.name} by {start}: logged in after {node.boot_s:.0f} s\n")
        left_out = f"bed or firstboot or {'disk' if start == 'netboot' else 'netboot'}"
        where = ["--hosts=ssh://node", f"--ssh-config={node.ssh_config}", f"--published={disk.parent}"]
        where += ["-m", f"not ({left_out})"]
        return _tests([*where, *options])


def _tests(options: list[str]) -> int:
    # The conftest.py of the other tests needs what only the product's environment has.
    pytest = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--confcutdir=tests/image", "tests/image"]
    return subprocess.run([*pytest, *options], cwd=ROOT, check=False).returncode  # noqa: S603 - pytest with our own words


@contextmanager
def _served(folder: Path) -> Iterator[int]:
    """The port of this machine's loopback at which a server has this folder."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def main() -> None:
    """Exit with the first status that is not 0."""
    disk, *rest = sys.argv[1:]
    chosen = [each for each in STARTS if each in rest] or STARTS
    options = [word for word in rest if word not in STARTS]
    try:
        sys.exit(next((bad for each in chosen if (bad := verify(Path(disk).resolve(), each, options))), 0))
    except (RuntimeError, TimeoutError) as error:
        sys.exit(f"verify: {error}")


if __name__ == "__main__":
    main()
