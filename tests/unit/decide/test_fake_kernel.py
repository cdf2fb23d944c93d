"""The fake kernel can refuse: without this, a plan that applies to it would prove nothing."""

import errno

import pytest

from appliance.errors import KernelError
from appliance.model.observed import ObservedService
from appliance.model.plan import (
    AddDestination,
    AddService,
    RemoveDestination,
    RemoveService,
    ServiceStep,
    SetDestination,
    SetService,
)
from appliance.model.service import VirtualService
from tests.unit.decide.fake_kernel import FakeKernel
from tests.unit.decide.values import dest, key

STANDING = ObservedService(VirtualService(key(), "mh"), (dest("10.0.0.1"),))
ABSENT = key(port=443)


@pytest.mark.parametrize(
    ("step", "refusal"),
    [
        pytest.param(AddService(STANDING.service), errno.EEXIST, id="service exists"),
        pytest.param(SetService(VirtualService(ABSENT, "mh")), errno.ESRCH, id="no service to set"),
        pytest.param(RemoveService(ABSENT), errno.ESRCH, id="no service to remove"),
        pytest.param(AddDestination(ABSENT, dest("10.0.0.1")), errno.ESRCH, id="no service to add to"),
        pytest.param(AddDestination(key(), dest("10.0.0.1")), errno.EEXIST, id="destination exists"),
        pytest.param(SetDestination(key(), dest("10.0.0.2")), errno.ENOENT, id="no destination to set"),
        pytest.param(RemoveDestination(key(), dest("10.0.0.2")), errno.ENOENT, id="no destination to remove"),
    ],
)
def test_the_fake_kernel_refuses_what_the_real_one_refuses(step: ServiceStep, refusal: int) -> None:
    kernel = FakeKernel({key(): STANDING})

    with pytest.raises(KernelError) as caught:
        kernel.apply([step])

    assert caught.value.errno == refusal
    assert kernel.dump() == {key(): STANDING}


def test_the_fake_kernel_puts_a_new_destination_first() -> None:
    kernel = FakeKernel({key(): STANDING})

    kernel.apply([AddDestination(key(), dest("10.0.0.2"))])

    assert kernel.dump()[key()].destinations == (dest("10.0.0.2"), dest("10.0.0.1"))
