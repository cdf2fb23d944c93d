"""What the kernel's answer to a step on the VIP link means: pure, so that every case can be tested."""

import errno
from typing import Final

from appliance.model.plan import AddAddress, AddressStep, Outcome, RemoveAddress

_BUSY: Final = frozenset({errno.ENOMEM, errno.EBUSY, errno.EINTR, errno.EAGAIN, errno.ENOBUFS})


def outcome(step: AddressStep, number: int) -> Outcome:
    """How ``step`` ended when the kernel answered with the positive error ``number``, 0 for success.

    The numbers are those of ``devinet.c`` and ``addrconf.c``: EEXIST and EADDRNOTAVAIL say that it was so already;
    ENODEV is a link that somebody took away meanwhile, which the next pass makes again.
    """
    match step, number:
        case _, 0:
            return Outcome.DONE
        case (AddAddress(), errno.EEXIST) | (RemoveAddress(), errno.EADDRNOTAVAIL | errno.ENODEV):
            return Outcome.ALREADY
        case _, errno.ENODEV:
            return Outcome.RETRY
        case _:
            return Outcome.RETRY if number in _BUSY else Outcome.FATAL
