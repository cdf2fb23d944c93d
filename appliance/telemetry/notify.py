"""What any daemon of ours tells systemd.

The protocol is one datagram to the socket of $NOTIFY_SOCKET (sd_notify(3)), so it is spoken here: the C extension that
sends fields to the journal would be a second way to do the same, and need this one beside it where it is missing.
"""

import contextlib
import os
import socket
from collections.abc import Callable, Mapping

Notify = Callable[..., bool]


def notify(*assignments: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Tell systemd ``NAME=VALUE`` assignments; whether they are on their way. Off systemd nobody is told."""
    address = environment.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    # "@" stands for the byte 0 of an abstract address (unix(7)).
    address = "\0" + address[1:] if address.startswith("@") else address
    # A systemd that does not read must not stop a pass; what it missed is said again.
    kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, kind) as sender:
        sender.sendto("\n".join(assignments).encode(), address)
        return True
    return False
