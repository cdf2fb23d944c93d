"""Boot an image under each firmware and run tests/image on it: ``python -m image.verify IMAGE [bios|uefi] [pytest's]``.

Run by the Python that has pytest-testinfra (image/requirements.lock). A node that stands already is tested without
this: ``pytest tests/image --hosts=ssh://root@NODE``.
"""

import subprocess
import sys
from pathlib import Path

from image.qemu import Firmware, booted

ROOT = Path(__file__).parents[1]
FIRMWARES: tuple[Firmware, ...] = ("bios", "uefi")


def verify(disk: Path, firmware: Firmware, options: list[str]) -> int:
    """The exit status of the tests on this image, booted by this firmware.

    Raises:
        TimeoutError: it does not boot.
    """
    with booted(disk, firmware) as node:
        sys.stderr.write(f"verify: {disk.name} by {firmware}: logged in after {node.boot_s:.0f} s\n")
        where = ["--hosts=ssh://node", f"--ssh-config={node.ssh_config}"]
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "tests/image", *where, *options]
        return subprocess.run(command, cwd=ROOT, check=False).returncode  # noqa: S603 - pytest with our own words


def main() -> None:
    """Exit with the first status that is not 0."""
    disk, *rest = sys.argv[1:]
    chosen = [each for each in FIRMWARES if each in rest] or FIRMWARES
    options = [word for word in rest if word not in FIRMWARES]
    try:
        sys.exit(next((bad for each in chosen if (bad := verify(Path(disk).resolve(), each, options))), 0))
    except (RuntimeError, TimeoutError) as error:
        sys.exit(f"verify: {error}")


if __name__ == "__main__":
    main()
