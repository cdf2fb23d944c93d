"""What a node keeps below /etc/balanced for the system around the director, put where that system looks for it.

Done at every start: /etc/balanced outlasts an update, which brings a system that knows nothing of this node.
"""

import socket
from pathlib import Path

from appliance.firstboot.seed import HOSTNAME, NETWORK
from appliance.storage import replace_file

_MODE = 0o644


def name_host(home: Path, hostname: Path = Path("/etc/hostname")) -> bool:
    """Give this machine the name in ``hostname`` of the configuration, if there is one; whether it had another.

    Raises:
        OSError: the kernel or the file system refuses.
    """
    try:
        name = (home / HOSTNAME).read_text().strip()
    except FileNotFoundError:
        return False
    if not hostname.is_file() or hostname.read_text().strip() != name:
        replace_file(hostname, f"{name}\n".encode())
        hostname.chmod(_MODE)
    if socket.gethostname() == name:
        return False
    socket.sethostname(name)
    return True


def offer_network(home: Path, runtime: Path) -> bool:
    """Copy the files of ``network/`` to ``runtime``, where systemd-networkd reads them; whether any is different.

    In /run, so that nothing is there that the configuration does not name.

    Raises:
        OSError: the folder cannot be written.
    """
    ours = home / NETWORK
    wanted = {path.name: path.read_bytes() for path in ours.iterdir() if path.is_file()} if ours.is_dir() else {}
    runtime.mkdir(parents=True, exist_ok=True)
    listed = runtime / ".balanced"
    former = set(listed.read_text().split()) if listed.exists() else set()
    different = {name for name, content in wanted.items() if _content(runtime / name) != content}
    for name in former - wanted.keys():
        (runtime / name).unlink(missing_ok=True)
    for name in different:
        (runtime / name).write_bytes(wanted[name])
        (runtime / name).chmod(_MODE)
    runtime.chmod(0o755)
    if former != wanted.keys():
        listed.write_text("\n".join(sorted(wanted)))
    return bool(different or former - wanted.keys())


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None
