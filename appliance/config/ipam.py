"""The section of the allocator, and the rules between its values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import AfterValidator, Field, PlainSerializer, PlainValidator
from pydantic import model_validator as validator

from appliance.config.fields import (
    ContextName,
    Flag,
    Int,
    LabelSelector,
    ListenAddress,
    LoadBalancerClass,
    Mistake,
    Namespace,
    NodeName,
    PoolName,
    PoolNetwork,
    RelativePath,
    pool_network,
    refuse,
    refuse_all,
)
from appliance.config.lease import Lease
from appliance.config.section import Section
from appliance.model.labels import parse_selector
from appliance.model.pool import AddressPool, AddressRange

if TYPE_CHECKING:
    from appliance.config.schema import Bgp, Pool, Telemetry
    from appliance.model.address import Network

_EXAMPLE = "10.50.0.0/24 or 10.50.0.10-10.50.0.19"


def _range(value: object) -> AddressRange:
    if isinstance(value, AddressRange):
        return value
    if not isinstance(value, str) or "-" not in value:
        return AddressRange.of(pool_network(value))
    try:
        first, last = (ip_address(part.strip()) for part in value.split("-"))
    except ValueError:
        refuse("is not a range of addresses", f"write {_EXAMPLE}")
    if "%" in value or first.version != last.version or int(first) > int(last):
        refuse("is not a range of addresses", f"write the lower address first, both of one IP version: {_EXAMPLE}")
    for address in (first, last):
        pool_network(f"{address}/{address.max_prefixlen}")
    return AddressRange(first, last)


def _one_or_range(value: object) -> AddressRange:
    is_one = isinstance(value, str) and "/" not in value and "-" not in value
    return _range(f"{value}-{value}" if is_one else value)


def _selector(text: str) -> str:
    try:
        parse_selector(text)
    except ValueError:
        refuse("is not a label selector", "write one as for kubectl -l: app=web,tier!=test or tier in (a,b)")
    return text


Span = Annotated[AddressRange, PlainValidator(_range), PlainSerializer(str, return_type=str)]
ReservedSpan = Annotated[AddressRange, PlainValidator(_one_or_range), PlainSerializer(str, return_type=str)]
ServiceSelector = Annotated[LabelSelector, AfterValidator(_selector)]


class IpamPool(Section):
    """Addresses, and which Services get them."""

    name: PoolName = Field(examples=["public"])
    """Name of the pool, as the annotation balanced.demonware.net/ip-pool has it."""

    addresses: tuple[Span, ...] = Field(
        min_length=1, max_length=256, examples=[["10.50.0.0/24", "2001:db8:50::10-2001:db8:50::ff"]]
    )
    """Networks without host bits, or ranges FIRST-LAST, IPv4 and IPv6. No two of any pools may overlap."""

    automatic: Flag = True
    """Whether Services that name no pool get addresses from it. Default true; false gives to those that name it."""

    default: Flag = False
    """Whether it goes before other pools of the same priority that serve everybody. At most one pool. Default false."""

    priority: Int = Field(default=100, ge=0, le=1000)
    """Pools with a lower number give first; of equals, those with namespaces or a selector before the others. Default
    100."""

    namespaces: tuple[Namespace, ...] = Field(default=(), max_length=1000, examples=[["web", "mail"]])
    """Namespaces whose Services may get its addresses. Default: all."""

    namespace_selector: ServiceSelector = Field(default="", examples=["team=web"])
    """Labels of the namespaces whose Services may get its addresses, as for kubectl -l; of those in namespaces, if
    there are any. It needs the right to list and watch Namespaces (balanced manifests ipam --namespace-labels).
    Default: all."""

    service_selector: ServiceSelector = Field(default="", examples=["tier=public"])
    """Labels of the Services that may get its addresses, as for kubectl -l. Default: all."""

    avoid_edges: Flag = True
    """Whether IPv4 addresses that end in .0 and .255, which some devices take for a network's own, and IPv6 addresses
    whose last 64 bits are 0 (RFC 4291, 2.6.1) are given only where ip-request names them. Default true."""

    reserved: tuple[ReservedSpan, ...] = Field(default=(), max_length=1000, examples=[["10.50.0.1", "10.50.0.64/29"]])
    """Addresses, networks and ranges that are not given at all. Default: none."""

    disabled: Flag = False
    """Whether it gives nothing more; what was given stays. Default false."""

    @validator(mode="after")
    def _reserved_inside(self) -> Self:
        refuse_all(
            [
                Mistake(("reserved", index), f"{each} is not in pool {self.name}", "take it out, or correct it")
                for index, each in enumerate(self.reserved)
                if not any(each.overlaps(span) for span in self.addresses)
            ]
        )
        return self

    def as_pool(self) -> AddressPool:
        """The pool as the allocator sees it."""
        return AddressPool(
            name=self.name,
            ranges=self.addresses,
            automatic=self.automatic,
            is_default=self.default,
            priority=self.priority,
            namespaces=self.namespaces,
            namespace_selector=parse_selector(self.namespace_selector),
            selector=parse_selector(self.service_selector),
            avoids_edges=self.avoid_edges,
            reserved=self.reserved,
            disabled=self.disabled,
        )


def distinct(pools: tuple[IpamPool, ...]) -> tuple[IpamPool, ...]:
    """Refuse two pools of one name, two defaults, and ranges that overlap, in one pool or in two."""
    mistakes = []
    for (first, one), (second, other) in combinations(enumerate(pools), 2):
        if one.name == other.name:
            what = f"{other.name} is already the name of pools[{first}]"
            mistakes.append(Mistake((second, "name"), what, "write another name, or put the ranges into one pool"))
        if one.default and other.default:
            what = f"pools[{first}] is the default already"
            mistakes.append(Mistake((second, "default"), what, "let one pool be the default; priority orders others"))
    spans = sorted(
        (
            (span, pool.name, (place, "addresses", index))
            for place, pool in enumerate(pools)
            for index, span in enumerate(pool.addresses)
        ),
        key=lambda row: (row[0].version, *row[0].bounds),
    )
    for (one_span, one_name, one_where), (other_span, other_name, other_where) in pairwise(spans):
        if one_span.overlaps(other_span):
            (earlier, name, _), (later, _, where) = sorted(
                [(one_span, one_name, one_where), (other_span, other_name, other_where)], key=lambda row: row[2]
            )
            what = f"{later} overlaps {earlier} of pool {name}"
            mistakes.append(Mistake(where, what, "write every address once"))
    refuse_all(mistakes)
    return pools


class Ipam(Section):
    """The allocator (balanced ipam): which addresses Services get. A file may hold this section alone."""

    pools: Annotated[tuple[IpamPool, ...], AfterValidator(distinct)] = Field(
        min_length=1, max_length=256, examples=[[{"name": "public", "addresses": ["10.50.0.0/24"]}]]
    )
    """Where addresses come from, up to 256 pools."""

    not_vips: tuple[PoolNetwork, ...] = Field(default=(), max_length=256, examples=[["10.0.0.0/24"]])
    """Networks of nodes, routers and pods. A pool that has an address of them is refused. Default: none."""

    load_balancer_classes: tuple[LoadBalancerClass, ...] = Field(
        default=("",), min_length=1, max_length=16, examples=[["", "example.com/balanced"]]
    )
    """Values of spec.loadBalancerClass of the Services that are ours; "" stands for those without a class. The same as
    that of the directors. Default: only those without."""

    ip_mode: Literal["VIP", "Proxy"] = "VIP"
    """ipMode that is written with every address (Kubernetes 1.29 and later). VIP lets kube-proxy on workers send
    packets of their pods straight to the backends; with Proxy they go by way of the directors, and kube-proxy in IPVS
    mode does not take VIPs for its own. Default VIP; a change rewrites every status."""

    kubeconfig: RelativePath | None = Field(default=None, examples=["/etc/balanced/kubeconfig"])
    """Kubeconfig file; a relative path starts at the directory of this file. Default: none, the service account of the
    pod that this runs in."""

    context: ContextName | None = Field(default=None, examples=["production"])
    """Context of the kubeconfig. Default: its current-context."""

    identity: NodeName | None = Field(default=None, examples=["ipam-1"])
    """Name of this allocator in the Lease and in Events. Default: none, the host name, which is that of the pod; no two
    allocators may have the same."""

    lease: Lease = Lease()
    """How one of several allocators leads."""

    address: ListenAddress = Field(default="0.0.0.0", validate_default=True)
    """Address to listen on for metrics and probes. Default 0.0.0.0, as a pod is probed from outside."""

    metrics_port: Int | None = Field(default=8123, ge=1, le=65535)
    """TCP port of /metrics. Default 8123. null disables it."""

    health_port: Int | None = Field(default=8124, ge=1, le=65535)
    """TCP port of /healthz, /readyz and /checks, another than metrics_port. Default 8124. null disables it."""

    @validator(mode="after")
    def _consistent(self) -> Self:
        mistakes = outside(self.pools, self.not_vips)
        if self.metrics_port is not None and self.metrics_port == self.health_port:
            what = f"{self.health_port} is metrics_port already"
            mistakes.append(Mistake(("health_port",), what, "write another port"))
        refuse_all(mistakes)
        return self

    @property
    def needs_namespaces(self) -> bool:
        """Whether labels of namespaces count."""
        return any(pool.namespace_selector for pool in self.pools)

    def as_pools(self) -> tuple[AddressPool, ...]:
        """The pools as the allocator sees them."""
        return tuple(pool.as_pool() for pool in self.pools)


def outside(pools: Sequence[IpamPool], networks: Iterable[Network]) -> list[Mistake]:
    """No pool holds an address of these networks."""
    spans = [AddressRange.of(network) for network in networks]
    return [
        Mistake(
            ("pools", place, "addresses", index),
            f"{span} of pool {pool.name} overlaps {other} of not_vips",
            "take addresses for VIPs that no node, router or pod has",
        )
        for place, pool in enumerate(pools)
        for index, span in enumerate(pool.addresses)
        for other in spans
        if span.overlaps(other)
    ]


def ipam_fits_node(ipam: Ipam, pools: Sequence[Pool], bgp: Bgp | None, telemetry: Telemetry | None) -> list[Mistake]:
    """What is given is announced here, and is the address of no router and no node."""
    inside = [AddressRange.of(network) for pool in pools for network in pool.cidrs]
    taken = [
        (f"bgp.peers[{index}].{key}", address)
        for index, peer in enumerate(bgp.peers if bgp else ())
        for key, address in (("address", peer.address), ("source_address", peer.source_address))
        if address is not None
    ]
    taken += [("telemetry.address", telemetry.address)] if telemetry else []
    mistakes = []
    for place, pool in enumerate(ipam.pools):
        for index, span in enumerate(pool.addresses):
            where = ("pools", place, "addresses", index)
            if inside and not any(span.first in each and span.last in each for each in inside):
                what = f"{span} of pool {pool.name} is in none of the networks of pools"
                mistakes.append(Mistake(where, what, "add its network to pools, or nobody announces what is given"))
            mistakes += [
                Mistake(where, f"{span} of pool {pool.name} holds {address} of {key}", "take it out of the pool")
                for key, address in taken
                if address in span
            ]
    return mistakes
