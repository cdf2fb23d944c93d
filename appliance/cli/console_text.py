"""What a console shows above its login prompt, as text: pure, in lines of 80 columns, without anything that runs on.

A screen is drawn anew only when the text is another one, and a serial line keeps every screen, so no duration and no
counter stands in it.
"""

import textwrap
from base64 import b64decode, b64encode
from binascii import Error
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

from appliance.director.status import Status, VipStatus

WIDTH = 80
MOST_VIPS = 8
MOST_LINES_OF_MISTAKES = 8
_ANNOUNCED = "announced"
_WAYS = (
    "a volume labelled CIDATA (USB stick, virtual media) with appliance.yaml,",
    "ds=nocloud;s=https://HOST/FOLDER/ on the kernel's command line,",
    "a systemd credential balanced.appliance.yaml (SMBIOS, fw_cfg), or",
    "Ansible: site.yml, by ssh.",
)


@dataclass(frozen=True, slots=True)
class Link:
    """One network card: its name, hardware address, whether it has a carrier, and its addresses with prefix lengths."""

    name: str
    mac: str
    up: bool
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Screen:
    """All that is shown. ``refused`` are the mistakes of what a medium said last, ``silent`` why no status is there."""

    hostname: str
    version: str
    links: tuple[Link, ...]
    host_keys: tuple[str, ...]
    configured: bool
    refused: tuple[str, ...] = ()
    status: Status | None = None
    silent: str = ""


def issue(screen: Screen) -> str:
    """The text for agetty, whose escapes begin with a backslash: what came from elsewhere cannot hold one."""
    lines = [f"BalanceD appliance {screen.version} on {screen.hostname}", *_state(screen), "", *_host(screen)]
    return "\n".join(map(_plain, lines)) + "\n\n"


def fingerprint(public_key: str) -> str:
    """A line of ``ssh_host_*_key.pub`` as ssh shows it to whoever logs in first; empty if it is none (RFC 4716, 4)."""
    kind, _, rest = public_key.partition(" ")
    try:
        blob = b64decode(rest.split(" ")[0], validate=True)
    except Error:
        return ""
    return "" if not blob else f"{kind} SHA256:{b64encode(sha256(blob).digest()).decode().rstrip('=')}"


def _state(screen: Screen) -> Iterator[str]:
    if screen.refused:
        yield "REFUSED, and nothing was changed:"
        lines = [part for line in screen.refused for part in _wrapped(line)]
        yield from lines[:MOST_LINES_OF_MISTAKES]
        if len(lines) > MOST_LINES_OF_MISTAKES:
            yield f"  ... {len(lines) - MOST_LINES_OF_MISTAKES} lines more: journalctl -u 'balanced-firstboot*'"
    if not screen.configured:
        yield "This node has no configuration. It announces nothing, and waits for one of:"
        yield from (f"  - {way}" for way in _WAYS)
    elif screen.status is None:
        yield from _wrapped(f"No word from the director: {screen.silent}", indent="")
    else:
        yield from _served(screen.status)


def _served(status: Status) -> Iterator[str]:
    states = Counter(vip.state for vip in status.vips)
    counts = ", ".join(f"{count} {state}" for state, count in sorted(states.items())) or "none"
    yield f"{'DEGRADED' if status.degraded else 'well'}.  VIPs: {counts}.  BIRD: {status.bird or 'not answering'}."
    for peer in status.peers:
        yield f"  session {peer.name.removeprefix('balanced_')}: {'up' if peer.established else peer.state}"
    if status.waiting_for:
        yield f"  waiting for the {status.waiting_for}"
    if status.drain is not None:
        yield from _wrapped(f"drained by {status.drain.who}: {status.drain.why}")
    for name, text in status.conditions.items():
        yield from _wrapped(f"! {name}: {text}")
    shown = sorted(status.vips, key=lambda vip: vip.state == _ANNOUNCED)[:MOST_VIPS]
    for vip in shown:
        yield from _wrapped(_vip(vip), indent="  ")
    if len(status.vips) > len(shown):
        yield f"  ... {len(status.vips) - len(shown)} more: balanced status"


def _vip(vip: VipStatus) -> str:
    why = "" if vip.state == _ANNOUNCED else f" ({vip.reason})"
    return f"{vip.vip}  {vip.state}{why}  {' '.join(vip.services)}  {vip.backends_ready}/{vip.backends} ready"


def _host(screen: Screen) -> Iterator[str]:
    for link in screen.links:
        carrier = "" if link.up else "no carrier"
        yield f"{link.name}  {link.mac}  {' '.join(link.addresses) or 'no address'}  {carrier}".rstrip()
    yield from screen.host_keys


def _wrapped(text: str, indent: str = "  ") -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=f"{indent}  ", break_on_hyphens=False)


def _plain(line: str) -> str:
    return "".join(char if char.isascii() and char.isprintable() and char != "\\" else "?" for char in line)
