"""The kernel's table of virtual services: read it, change it.

Everything goes over one bare generic-netlink socket (``appliance.netlink``): hundreds of changes a datagram, each with
its own acknowledgement. IPVS sends no notifications, so a reading is the only way to notice what others changed.
"""

import errno
from collections.abc import Collection, Mapping, Sequence
from typing import Self

from appliance.errors import KernelError
from appliance.ipvs import codec, counters
from appliance.ipvs.attributes import Control
from appliance.ipvs.outcome import outcome
from appliance.model.counters import Counters, DestinationCounters
from appliance.model.observed import ObservedService
from appliance.model.plan import ServiceStep, StepResult
from appliance.model.service import ServiceKey, VirtualService
from appliance.netlink.message import Request
from appliance.netlink.transport import NETLINK_GENERIC, NetlinkSocket

# So many services are read faster from one listing of the table than one by one.
_MANY = 500


class IpvsKernel:
    """IPVS of the network namespace in which this object is made. Not for use by two threads at once.

    Raises:
        KernelError: the kernel has no IPVS, or no socket can be opened.
    """

    def __init__(self) -> None:
        self._netlink = NetlinkSocket(NETLINK_GENERIC)
        try:
            self._family = self._resolve()
        except KernelError:
            self._netlink.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the socket back; a second call does nothing."""
        self._netlink.close()

    def dump(self) -> dict[ServiceKey, ObservedService]:
        """Every service with its destinations in the kernel's order: the one added last comes first.

        The kernel locks its table for a datagram at a time, so a dump beside other writers can miss or repeat: one
        reading alone proves no absence.

        Raises:
            KernelError: the kernel refused, or no complete reading came about in three attempts.
        """
        return self._with_destinations(self._services())

    def _services(self) -> dict[ServiceKey, VirtualService]:
        bodies = self._service_bodies()
        services = (codec.decode_service(body) for body in bodies)
        return {service.key: service for service in services if service is not None}

    def read(self, keys: Collection[ServiceKey]) -> dict[ServiceKey, ObservedService]:
        """Those of the named services that stand, with their destinations.

        Raises:
            KernelError: as for dump.
        """
        return self._with_destinations(self._standing(keys))

    def apply(self, steps: Sequence[ServiceStep]) -> tuple[StepResult, ...]:
        """Carry out ``steps`` in order; a step that fails stops no other. Same order and length as ``steps``.

        An answer that was lost counts as RETRY with ENOBUFS: whether the step was done shows at the next reading.

        Raises:
            KernelError: the kernel takes no requests at all.
        """
        answers = self._netlink.transact([Request(self._family, body) for body in codec.encode_steps(steps)])
        return tuple(
            StepResult(step, outcome(step, answer.errno), answer.errno)
            for step, answer in zip(steps, answers, strict=True)
        )

    def service_counters(self) -> dict[ServiceKey, Counters]:
        """What the kernel counted for every service.

        Raises:
            KernelError: as for dump.
        """
        counted = ((codec.decode_service(body), body) for body in self._service_bodies())
        return {service.key: counters.decode_service_counters(body) for service, body in counted if service is not None}

    def connections(self, keys: Collection[ServiceKey]) -> dict[ServiceKey, int]:
        """How many connections each of the named services has been given so far, without those that do not stand.

        Raises:
            KernelError: as for dump.
        """
        if len(keys) > _MANY:
            counted = self.service_counters()
            return {key: counted[key].connections for key in keys if key in counted}
        bodies = self._standing_bodies(keys)
        return {key: counters.decode_service_counters(body).connections for key, body in bodies.items()}

    def destination_counters(self, key: ServiceKey) -> dict[tuple[object, int], DestinationCounters]:
        """What the kernel counted for each destination of a service, by the destination's identity.

        Raises:
            KernelError: as for dump.
        """
        return {
            codec.decode_destination(body).identity: counters.decode_destination_counters(body)
            for body in self._destination_bodies(key)
        }

    def _with_destinations(self, services: Mapping[ServiceKey, VirtualService]) -> dict[ServiceKey, ObservedService]:
        found = {
            key: ObservedService(service, tuple(map(codec.decode_destination, self._destination_bodies(key))))
            for key, service in services.items()
        }
        # Of a service that went away in between the kernel lists no destinations, without an error.
        empty = [key for key, observed in found.items() if not observed.destinations]
        for key in set(empty) - self._standing(empty).keys():
            del found[key]
        return found

    def _service_bodies(self) -> list[bytes]:
        # The family gets another number when its module is unloaded and loaded again.
        self._family = self._resolve()
        return self._netlink.dump(Request(self._family, codec.encode_get_services()), "IPVS services")

    def _destination_bodies(self, key: ServiceKey) -> list[bytes]:
        request = Request(self._family, codec.encode_get_destinations(key))
        return self._netlink.dump(request, f"IPVS destinations of {key}")

    def _standing(self, keys: Collection[ServiceKey]) -> dict[ServiceKey, VirtualService]:
        services = {key: codec.decode_service(body) for key, body in self._standing_bodies(keys).items()}
        return {key: service for key, service in services.items() if service is not None}

    def _standing_bodies(self, keys: Collection[ServiceKey]) -> dict[ServiceKey, bytes]:
        named = list(keys)
        answers = self._netlink.transact([Request(self._family, codec.encode_get_service(key)) for key in named])
        bodies: dict[ServiceKey, bytes] = {}
        for key, answer in zip(named, answers, strict=True):
            if answer.errno == errno.ESRCH:
                continue
            if answer.errno or not answer.replies:
                raise KernelError("read IPVS service", str(key), answer.errno)
            bodies[key] = answer.replies[0]
        return bodies

    def _resolve(self) -> int:
        (answer,) = self._netlink.transact([Request(Control.TYPE, codec.encode_get_family())])
        if answer.errno or not answer.replies:
            hint = "modprobe ip_vs; if there is no such module, apt-get install linux-image-amd64"
            raise KernelError("find", "IPVS in this kernel", answer.errno, hint=hint)
        return codec.decode_family(answer.replies[0])
