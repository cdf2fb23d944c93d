"""What the kernel's answer to a step means: pure, so that every case can be tested."""

import errno
from typing import Final

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

_BUSY: Final = frozenset({errno.ENOMEM, errno.EBUSY, errno.EINTR, errno.EAGAIN, errno.ENOBUFS})

# The error numbers are those of ip_vs_ctl.c: ESRCH is a missing service; ENOENT is a missing destination, or, on the
# two commands that name one, a scheduler that the kernel has not and cannot load.
_ALREADY: Final[dict[type[ServiceStep], frozenset[int]]] = {
    AddService: frozenset({errno.EEXIST}),
    AddDestination: frozenset({errno.EEXIST}),
    RemoveService: frozenset({errno.ESRCH}),
    RemoveDestination: frozenset({errno.ENOENT, errno.ESRCH}),
}
# Somebody took away what the step builds on: the next reading finds it missing and builds that too.
_OVERTAKEN: Final[dict[type[ServiceStep], frozenset[int]]] = {
    SetService: frozenset({errno.ESRCH}),
    AddDestination: frozenset({errno.ESRCH}),
    SetDestination: frozenset({errno.ENOENT, errno.ESRCH}),
}


def outcome(step: ServiceStep, number: int) -> Outcome:
    """How ``step`` ended when the kernel answered with the positive error ``number``, 0 for success."""
    if number == 0:
        return Outcome.DONE
    if number in _ALREADY.get(type(step), ()):
        return Outcome.ALREADY
    if number in _BUSY or number in _OVERTAKEN.get(type(step), ()):
        return Outcome.RETRY
    return Outcome.FATAL
