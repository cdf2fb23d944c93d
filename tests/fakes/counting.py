"""A fake of what IPVS counts: it counts for whatever stands in the fake kernel."""

import threading
from collections.abc import Callable

from appliance.errors import KernelError
from appliance.model.counters import Counters, DestinationCounters
from appliance.model.service import ServiceKey
from tests.fakes.kernel import FakeIpvs

TOTALS = Counters(3, 12, 0, 1026, 0, cps=1, pps_in=2, pps_out=0, bps_in=171, bps_out=0)


class FakeCounting:
    """Every service and destination in ``ipvs`` has counted the same. ``before`` runs at the start of each reading."""

    def __init__(self, ipvs: FakeIpvs) -> None:
        self.ipvs = ipvs
        self.readings = 0
        self.fault = 0
        self.threads: set[int] = set()
        self.before: Callable[[], object] = lambda: None

    def service_counters(self) -> dict[ServiceKey, Counters]:
        self.readings += 1
        self.threads.add(threading.get_ident())
        self.before()
        if self.fault:
            raise KernelError("list", "IPVS services", self.fault)
        return dict.fromkeys(self.ipvs.dump(), TOTALS)

    def destination_counters(self, key: ServiceKey) -> dict[tuple[object, int], DestinationCounters]:
        found = self.ipvs.read([key])
        destinations = found[key].destinations if key in found else ()
        return {each.identity: DestinationCounters(2, 1, 0, TOTALS) for each in destinations}
