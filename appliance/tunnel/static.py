"""A server that is no pod: the VIPs of a file on this machine's own tunnel devices."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from ipaddress import ip_address
from pathlib import Path
from typing import Protocol

import msgspec
import yaml

from appliance.errors import ConfigError, KernelError
from appliance.model.address import Address, Network
from appliance.model.service import IPIP, Tunnel, TunnelFlag, TunnelType
from appliance.model.tunnel import Listener, Tended, TunnelVip, TunnelWant
from appliance.telemetry import messages
from appliance.telemetry.journal import Journal, Standing

_REMEDY = "write vips: [10.50.0.1], and gue_ports: [5555] where the directors use GUE"


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``vips``: addresses inside the pools; ``gue_ports``: UDP ports that take GUE apart."""

    vips: list[str]
    gue_ports: list[int] = []


class Here(Protocol):
    """Who works in this machine's own namespace."""

    async def tend_here(self, want: TunnelWant, opened: Collection[Listener]) -> Tended:
        """As in Places."""
        ...


def read_static(path: Path, *, owned: Callable[[Address], bool], directors: tuple[Network, ...] | None) -> TunnelWant:
    """What the file at ``path`` wants of this machine.

    Raises:
        ConfigError: it cannot be read, or an address in it is none, or is in no pool.
    """
    try:
        found = msgspec.convert(yaml.safe_load(path.read_bytes()), _File)
        addresses = [ip_address(text) for text in found.vips]
    except OSError as error:
        raise ConfigError((f"{path}: cannot be read: {error.strerror} ({_REMEDY})",)) from None
    except (msgspec.ValidationError, yaml.YAMLError, ValueError) as error:
        raise ConfigError((f"{path}: {' '.join(str(error).split())[:200]} ({_REMEDY})",)) from None
    strange = [str(address) for address in addresses if not owned(address)]
    if strange:
        raise ConfigError((f"{path}: vips: {strange[0]} is in no pool (add the pool to the agent's configuration)",))
    ports = [port for port in found.gue_ports if not 0 < port < 1 << 16]
    if ports:
        raise ConfigError((f"{path}: gue_ports: {ports[0]} is no port (write a number from 1 to 65535)",))
    tunnel = Tunnel(TunnelType.GUE, flags=TunnelFlag.REMOTE_CHECKSUM) if found.gue_ports else IPIP
    vips = frozenset(TunnelVip(each, tunnel.header_bytes(each.version)) for each in addresses)
    if not vips:
        return TunnelWant()
    versions = {address.version for address in addresses}
    listeners = frozenset(Listener(version, port) for port in found.gue_ports for version in versions)
    return TunnelWant(vips, listeners, directors)


async def keep(
    here: Here,
    read: Callable[[], TunnelWant],
    journal: Journal,
    *,
    resync_s: float,
    on_pass: Callable[[], None],
    wait: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> None:
    """Have this machine be as the file says, for ever; a file that turned bad changes nothing."""
    standing = Standing(journal)
    want = read()
    opened: frozenset[Listener] = frozenset()
    stood: TunnelWant | None = None
    while True:
        try:
            want = read()
            tended = await here.tend_here(want, opened | want.listeners)
        except (KernelError, ConfigError) as error:
            standing.begin(messages.TUNNEL_REFUSED, str(error))
        else:
            standing.end(messages.TUNNEL_REFUSED)
            for step in tended.done if stood == want else ():
                journal.tell(messages.TUNNEL_REPAIRED, POD="this machine", CHANGE=step)
            opened, stood = want.listeners, want
        on_pass()
        await wait(resync_s)
