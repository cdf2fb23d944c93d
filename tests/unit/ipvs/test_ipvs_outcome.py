"""Every answer of the kernel to every kind of step."""

import errno
from ipaddress import ip_address

import pytest

from appliance.ipvs.outcome import outcome
from appliance.model.plan import (
    AddDestination,
    AddService,
    Outcome,
    RemoveDestination,
    RemoveService,
    ServiceStep,
    SetDestination,
    SetService,
)
from appliance.model.service import Destination, Protocol, ServiceKey, VirtualService

KEY = ServiceKey(ip_address("10.50.0.1"), Protocol.TCP, 80)
SERVICE = VirtualService(KEY, "mh")
BACKEND = Destination(ip_address("10.60.0.1"), 80, 1)
STEPS: tuple[ServiceStep, ...] = (
    AddService(SERVICE),
    SetService(SERVICE),
    RemoveService(KEY),
    AddDestination(KEY, BACKEND),
    SetDestination(KEY, BACKEND),
    RemoveDestination(KEY, BACKEND),
)
NAMES = [type(step).__name__ for step in STEPS]
# In the order of STEPS: d done, a already, r retry, f fatal.
TABLE = {
    0: "dddddd",
    errno.EEXIST: "affaff",
    errno.ESRCH: "frarra",
    errno.ENOENT: "ffffra",
    errno.ENOMEM: "rrrrrr",
    errno.EBUSY: "rrrrrr",
    errno.EINTR: "rrrrrr",
    errno.EAGAIN: "rrrrrr",
    errno.ENOBUFS: "rrrrrr",
    errno.EINVAL: "ffffff",
    errno.EPERM: "ffffff",
    errno.ERANGE: "ffffff",
    errno.EAFNOSUPPORT: "ffffff",
}
MEANING = {outcome.value[0]: outcome for outcome in Outcome}
CASES = [
    pytest.param(step, number, MEANING[letter], id=f"{name} {errno.errorcode.get(number, 'success')}")
    for number, letters in TABLE.items()
    for step, name, letter in zip(STEPS, NAMES, letters, strict=True)
]


@pytest.mark.parametrize(("step", "number", "expected"), CASES)
def test_an_answer_means(step: ServiceStep, number: int, expected: Outcome) -> None:
    assert outcome(step, number) is expected
