"""The schema of ``/etc/balanced/tunnel.yaml``: what a tunnel agent on a worker is told.

As in the director's: a docstring per field with unit, default, reason and how to disable it; the reference is made of
them.
"""

import socket
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, ValidationInfo, field_validator
from pydantic import model_validator as validator

from appliance.config import rules
from appliance.config.fields import (
    AbsolutePath,
    Mistake,
    NodeName,
    PoolNetwork,
    Seconds,
    SocketPath,
    refuse_all,
)
from appliance.config.schema import KubernetesSourceConfig, Pool, Telemetry
from appliance.config.section import Section
from appliance.model.address import Address, Network


class TunnelNode(Section):
    """This machine."""

    name: NodeName = Field(default_factory=socket.gethostname, validate_default=True)
    """Name of this node in the cluster, by which its pods are found. Default: the host name. In a DaemonSet the
    environment variable BALANCED_NODE says it."""


class Runtimes(Section):
    """How the network namespace of a container is found."""

    resolver: Literal["dynamic", "cgroup"] = "dynamic"
    """dynamic: the runtime that a container's id names is asked, and where it is silent the control groups of all
    processes are looked through. cgroup: only those, and no socket is used. Default dynamic."""

    containerd: AbsolutePath = Field(default="/run/containerd/containerd.sock", validate_default=True)
    """Socket of containerd (CRI). Default: its own."""

    crio: AbsolutePath = Field(default="/run/crio/crio.sock", validate_default=True)
    """Socket of CRI-O (CRI). Default: its own."""

    docker: AbsolutePath = Field(default="/run/docker.sock", validate_default=True)
    """Socket of Docker's Engine API. Default: its own."""


class Agent(Section):
    """The daemon."""

    resync_s: Seconds = Field(default=30.0, ge=1, le=3600)
    """Seconds between two looks at what stands in each pod. Default 30: what somebody changes there by hand is put
    right within that time. It cannot be disabled."""

    linger_s: Seconds = Field(default=90.0, ge=0, le=86400)
    """Seconds for which a VIP stays in a pod that is no backend of it any more. Default 90, more than the directors'
    ipvs.drain_time_s: the connections that it still has end there. 0 takes it away at once."""

    confirm_after_s: Seconds = Field(default=300.0, ge=0, le=86400)
    """Seconds for which a list of the API server has to say that most VIPs, or all of their backends, are gone before
    pods lose them; what an agent finds at its start that nobody wants stays as long. Default 300, as directors have it:
    a list that was cut short ends no connections. Single deletions are obeyed at once. 0 disables it."""

    runtime_dir: SocketPath = Field(default="/run/balanced-tunnel", validate_default=True)
    """Directory of the lock that a second agent meets, and of keys that stand in a kubeconfig; gone after a reboot.
    Default /run/balanced-tunnel."""


class TunnelConfig(Section):
    """The whole configuration of a tunnel agent."""

    pools: Annotated[tuple[Pool, ...], AfterValidator(rules.distinct_pools)] = Field(
        min_length=1, max_length=64, examples=[[{"name": "public", "cidrs": ["10.50.0.0/24"]}]]
    )
    """Networks that VIPs may come from, the same as the directors'. Of what stands on a pod's tunnel devices only
    addresses inside of them are ever touched."""

    directors: tuple[PoolNetwork, ...] = Field(max_length=64, examples=[["10.0.11.0/24"]])
    """Networks of the directors, by the addresses that their tunnel packets come from. Packets in tunnels from
    elsewhere are dropped: whoever may send them can put any source address into a pod. Required; an empty list drops
    nothing and leaves every pod open."""

    node: TunnelNode = Field(default_factory=TunnelNode)
    """This machine."""

    kubernetes: KubernetesSourceConfig = KubernetesSourceConfig()
    """The cluster. Default: the one that the agent runs in as a pod, all namespaces."""

    runtimes: Runtimes = Runtimes()
    """How the network namespace of a container is found."""

    agent: Agent = Agent()
    """The daemon."""

    telemetry: Telemetry = Telemetry()
    """Metrics for Prometheus and answers for probes. ``destinations`` means nothing here."""

    @field_validator("telemetry", mode="after")
    @classmethod
    def _telemetry_fits(cls, telemetry: Telemetry, info: ValidationInfo) -> Telemetry:
        values: dict[str, Any] = info.data
        refuse_all(rules.listens_outside_pools(telemetry, values.get("pools", ())))
        return telemetry

    @validator(mode="after")
    def _patient(self) -> Self:
        if self.telemetry.unhealthy_after_s <= self.agent.resync_s:
            what = f"{self.telemetry.unhealthy_after_s:g} is not above agent.resync_s, {self.agent.resync_s:g}"
            refuse_all([Mistake(("telemetry", "unhealthy_after_s"), what, "raise it, or lower resync_s")])
        return self

    @property
    def networks(self) -> tuple[Network, ...]:
        """Every network of every pool."""
        return tuple(network for pool in self.pools for network in pool.cidrs)

    @property
    def lock(self) -> tuple[Network, ...] | None:
        """Who may send through tunnels; None for whoever likes."""
        return self.directors or None

    def owns(self, address: Address) -> bool:
        """Whether the address lies in a pool."""
        return any(address.version == network.version and address in network for network in self.networks)
