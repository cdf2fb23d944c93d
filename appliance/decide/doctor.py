"""The preflight: what is read of a host -> findings, each with what to do. Every check is a pure function of Facts."""

from collections.abc import Callable, Iterable, Iterator

from appliance.decide import kube_proxy, mtu, own_address
from appliance.decide.kernel_faults import FAULTS, LISTED, OLDEST, faults_of
from appliance.model.address import address_order
from appliance.model.finding import Finding, Grade
from appliance.model.host import Facts, Listener, Module, Nic, Place

LEAST_TAB_BITS = 16
LEAST_FREE_BYTES = 16 << 20
LEAST_FREE_INODES = 1000
LEAST_RX_RING = 1024
OLDEST_BIRD = (2, 0, 12)
# ip-sysctl.rst: 1 is strict (RFC 3704), 2 loose.
STRICT = 1
_IPVS = "ip_vs"
_CAPABILITIES = {12: "CAP_NET_ADMIN", 13: "CAP_NET_RAW", 21: "CAP_SYS_ADMIN"}  # linux/capability.h
_SERVICES = {22: "ssh", 179: "bgp", 10250: "kubelet"}

Check = Callable[[Facts], Iterator[Finding]]


def diagnose(facts: Facts) -> tuple[Finding, ...]:
    """Every finding, in the order in which a person would set up a node."""
    return tuple(finding for name, check in CHECKS.items() for finding in check_of(name, check, facts))


def check_of(name: str, check: Check, facts: Facts) -> Iterator[Finding]:
    """The findings of one check under its name."""
    return (Finding(name, each.grade, each.text, each.remedy) for each in check(facts))


def verdict(findings: Iterable[Finding]) -> Grade:
    """The worst of them."""
    grades = {finding.grade for finding in findings}
    return next(grade for grade in (Grade.FAIL, Grade.WARN, Grade.OK) if grade in grades or grade is Grade.OK)


def _ok(text: str) -> Finding:
    return Finding("", Grade.OK, text)


def _warn(text: str, remedy: str) -> Finding:
    return Finding("", Grade.WARN, text, remedy)


def _fail(text: str, remedy: str) -> Finding:
    return Finding("", Grade.FAIL, text, remedy)


def _kernel(facts: Facts) -> Iterator[Finding]:
    version, floor = _dotted(facts.kernel), _dotted(FAULTS[-1].mended)
    series = _dotted(LISTED)
    if facts.kernel < OLDEST:
        yield _fail(f"{version} loses connections: client ports that are used again", f"install {floor} or later")
    elif facts.kernel[:2] < LISTED:
        yield _warn(
            f"{version} is older than {series}, the series whose faults are known here",
            f"look for the ip_vs fixes of {floor} in its changelog, or install that",
        )
    elif known := faults_of(facts.kernel):
        for fault in known:
            yield _warn(f"{version}: {fault.what}", f"drain, install {_dotted(fault.mended)} or later, reboot")
    else:
        yield _ok(
            version
            + ("" if facts.kernel[:2] == LISTED else f", newer than {series}, the series whose faults are known here")
        )


def _modules(facts: Facts) -> Iterator[Finding]:
    if facts.ipvs:
        yield _fail(f"IPVS cannot be used: {facts.ipvs}", f"modprobe {_IPVS}; see dmesg and capabilities")
    names = {state: " ".join(name for name, each in facts.modules.items() if each is state) for state in Module}
    if missing := names[Module.ABSENT]:
        yield _fail(f"this kernel has no {missing}", "install linux-image-amd64, not the cloud flavour; then reboot")
    if waiting := names[Module.ON_DISK]:
        yield _warn(f"not loaded: {waiting}", f"modprobe -a {waiting}; balanced units / has them loaded at boot")
    if loaded := names[Module.LOADED]:
        yield _ok(f"loaded: {loaded}")


def _connection_table(facts: Facts) -> Iterator[Finding]:
    bits = facts.conn_tab_bits
    if bits is None:
        return
    text = f"ip_vs conn_tab_bits is {bits}: {1 << bits} buckets"
    if bits < LEAST_TAB_BITS:
        remedy = "write 'options ip_vs conn_tab_bits=20' to /etc/modprobe.d/ip_vs.conf (8 MB), then reboot"
        yield _warn(f"{text}, long chains from {8 << bits} connections on", remedy)
    else:
        yield _ok(text)


def _settings(facts: Facts) -> Iterator[Finding]:
    wrong = 0
    for sysctl in facts.wanted:
        value, dotted = facts.settings.get(sysctl.key), sysctl.key.replace("/", ".")
        if value is None or value in (sysctl.value, *sysctl.also_good):
            continue
        wrong += 1
        remedy = f"sysctl -w {dotted}={sysctl.value}; at boot: /etc/sysctl.d"
        yield _warn(f"{dotted} is {value} instead of {sysctl.value}: {sysctl.reason}", remedy)
    if facts.settings and not wrong:
        yield _ok(f"{len(facts.settings)} settings as they should be")


def _rp_filter(facts: Facts) -> Iterator[Finding]:
    for link, value in facts.rp_filter.items():
        if value == STRICT:
            yield _warn(
                f"{link}: rp_filter is strict (the larger of all and {link} counts)",
                f"sysctl -w net.ipv4.conf.{link}.rp_filter=2",
            )
    loose = [link for link, value in facts.rp_filter.items() if value != STRICT]
    if loose:
        yield _ok(f"not strict on {' '.join(loose)}")


def _paths(facts: Facts) -> Iterator[Finding]:
    if facts.backends_unknown:
        yield _warn(f"no backend is known: {facts.backends_unknown}", "run it again once there is a first good state")
        return
    dead = sorted(facts.subnets - facts.path_mtus.keys(), key=lambda each: address_order(each.network_address))
    for subnet in dead:
        yield _fail(f"no route to backends in {subnet}", f"ip route get {subnet[min(1, subnet.num_addresses - 1)]}")
    narrow = mtu.too_narrow(facts.path_mtus, facts.min_path_mtu)
    if narrow and facts.min_path_mtu is not None:
        remedy = "ip link set LINK mtu 1500, on switches too; or lower ipvs.min_path_mtu"
        yield _fail(mtu.in_words(narrow, facts.min_path_mtu), remedy)
    wide = len(facts.path_mtus) - len(narrow)
    if wide:
        least = min(size for subnet, size in facts.path_mtus.items() if subnet not in narrow)
        yield _ok(f"{wide} backend subnets reached, with {least} bytes at least")


def _nics(facts: Facts) -> Iterator[Finding]:
    for nic in facts.nics:
        amiss = list(_nic(nic, facts.processors))
        yield from amiss
        if not amiss:
            known = "LRO off" if nic.lro is False else "LRO not told by its driver"
            yield _ok(f"{nic.name}: {known}, receive queues: {nic.rx_queues}")


def _nic(nic: Nic, processors: int) -> Iterator[Finding]:
    if nic.lro:
        # dev_disable_lro runs only where forwarding is turned on (net/core/dev.c), and IPVS forwards without.
        yield _warn(f"{nic.name}: LRO is on, which glues packets together for good", f"ethtool -K {nic.name} lro off")
    if nic.rx_ring is not None and nic.rx_ring_max is not None and nic.rx_ring < min(LEAST_RX_RING, nic.rx_ring_max):
        largest = min(nic.rx_ring_max, LEAST_RX_RING)
        yield _warn(f"{nic.name}: receive ring of {nic.rx_ring} packets", f"ethtool -G {nic.name} rx {largest}")
    if nic.rx_queues == 1 and processors > 1 and not nic.spread:
        remedy = f"ethtool -L {nic.name} combined {processors}; or set rps_cpus of its queue"
        yield _warn(f"{nic.name}: one receive queue for {processors} processors", remedy)


def _bird(facts: Facts) -> Iterator[Finding]:
    if facts.bird_error:
        yield _fail(facts.bird_error, "systemctl status bird; is this user in group bird?")
    elif facts.bird:
        numbers = tuple(int(part) for part in facts.bird.split("-")[0].split("+")[0].split(".") if part.isdigit())
        if numbers < OLDEST_BIRD:
            yield _warn(f"BIRD {facts.bird} was never tried", f"install {_dotted(OLDEST_BIRD)} or later")
        else:
            yield _ok(f"BIRD {facts.bird} answers")


def _permissions(facts: Facts) -> Iterator[Finding]:
    missing = [_CAPABILITIES.get(each, str(each)) for each in sorted(facts.needed_capabilities - facts.capabilities)]
    if missing:
        yield _fail(f"{facts.holder} lacks {' '.join(missing)}", "as root, or AmbientCapabilities= in the unit")
    elif facts.needed_capabilities:
        yield _ok(f"{facts.holder} has the capabilities it needs")
    for place in facts.places:
        if not place.exists:
            yield _warn(f"{place.key}: {place.path} does not exist", "systemd-tmpfiles --create, or start the director")
        elif not place.writable:
            yield _fail(f"{place.key}: {place.path} cannot be written to", "its owner: systemd-tmpfiles --create")
    for secret in facts.secrets:
        if secret.mode & 0o004:
            yield _warn(f"{secret.key}: anybody may read {secret.path}", f"chmod o-rwx {secret.path}")


def _clock(facts: Facts) -> Iterator[Finding]:
    if facts.clock.synchronised is None:
        return
    if facts.clock.synchronised:
        yield _ok("kept right by NTP or PTP")
    else:
        remedy = "systemctl enable --now chrony; certificates and logs go by it"
        yield _warn("nobody keeps the clock right, or not yet", remedy)


def _space(facts: Facts) -> Iterator[Finding]:
    for place in facts.places:
        if place.exists:
            yield _space_at(place)


def _space_at(place: Place) -> Finding:
    free = f"{place.key}: {place.path} has {place.free_bytes >> 20} MB"
    inodes = place.free_inodes
    text = free if inodes is None else f"{free} and {inodes} inodes"
    if not place.free_bytes or inodes == 0:
        return _fail(f"{text} free", f"make room: df -h {place.path}; df -i {place.path}")
    if place.free_bytes < LEAST_FREE_BYTES or (inodes is not None and inodes < LEAST_FREE_INODES):
        return _warn(f"{text} free", f"make room: df -h {place.path}; df -i {place.path}")
    return _ok(f"{text} free")


def _addresses(facts: Facts) -> Iterator[Finding]:
    others = [each for each in facts.addresses if each.link != facts.vip_link]
    inside = [each for each in others if any(each.address in pool for pool in facts.pools)]
    for each in inside:
        yield _fail(f"{each.link}: {own_address.named([each.address])}, and it is in a pool", _MOVE)
    for each in others:
        for pool in facts.pools:
            if each not in inside and each.network.version == pool.version and each.network.overlaps(pool):
                text = f"pool {pool} overlaps {each.network} on {each.link}: neighbours ask for its VIPs by ARP or ND"
                yield _warn(text, "take a pool that no link has, so that only routes lead to VIPs")
    if facts.pools and not inside:
        yield _ok(f"none of {len(others)} addresses of this node lies in a pool")


_MOVE = "give this node another address, or the pool another network"


def _guard(facts: Facts) -> Iterator[Finding]:
    if facts.guard is None:
        text = (
            "disabled: nothing keeps VIPs closed but for their services, and nothing enforces source ranges and limits"
        )
        yield _warn(text, "guard.enabled: true, or a packet filter of your own")
    elif facts.guard:
        yield _fail(facts.guard, "apt-get install libnftables1; modprobe nf_tables; or guard.enabled: false")
    else:
        yield _ok("its table is in force" if facts.guarded else "nftables can be used; no table of ours stands yet")


def _listeners(facts: Facts) -> Iterator[Finding]:
    if not facts.listeners:
        yield _ok("nothing listens on all addresses")
        return
    text = f"{_ports(facts.listeners)} on all addresses of this node"
    if facts.guarded:
        yield _ok(f"{text}; the guard keeps VIPs closed")
    else:
        known = "the guard is not in force" if facts.guarded is False else "whether the guard stands is not known"
        remedy = (
            "have them listen on an address of this node (sshd: ListenAddress), or see: nft list table inet balanced"
        )
        yield _warn(f"{text}, so on every VIP: {known}", remedy)


def _ports(listeners: Iterable[Listener]) -> str:
    ports = sorted({listener.port for listener in listeners})
    return " ".join(f"tcp/{port}{f' ({_SERVICES[port]})' if port in _SERVICES else ''}" for port in ports)


def _rivals(facts: Facts) -> Iterator[Finding]:
    if facts.kube_proxy:
        yield _fail(kube_proxy.in_words(facts.kube_proxy_vips), kube_proxy.REMEDY)
    else:
        yield _ok("no kube-proxy in IPVS mode")


def _unread(facts: Facts) -> Iterator[Finding]:
    for text in facts.unread:
        yield _warn(f"could not be read: {text}", "run balanced doctor as root")


def _dotted(version: Iterable[int]) -> str:
    return ".".join(map(str, version))


CHECKS: dict[str, Check] = {
    "kernel": _kernel,
    "modules": _modules,
    "connections": _connection_table,
    "settings": _settings,
    "rp_filter": _rp_filter,
    "links": _nics,
    "backends": _paths,
    "bird": _bird,
    "permissions": _permissions,
    "clock": _clock,
    "space": _space,
    "addresses": _addresses,
    "guard": _guard,
    "open ports": _listeners,
    "rivals": _rivals,
    "reading": _unread,
}
