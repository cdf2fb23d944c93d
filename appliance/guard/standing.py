"""The guard as a configuration has it: ready to be used, or gone."""

from collections.abc import Callable

from appliance.errors import KernelError
from appliance.guard.kernel import GuardKernel

_NEEDS = "the guard needs: apt-get install libnftables1; modprobe nf_tables; or set guard.enabled: false"


def guard_of(make: Callable[[], GuardKernel], *, enabled: bool) -> GuardKernel | None:
    """The guard that ``make`` returns, tried; None where it is disabled: then a table from before is removed.

    Raises:
        KernelError: it is enabled, and kernel, library or the right to use them is missing; or it is disabled, and the
            table cannot be removed.
    """
    try:
        guard = make()
        guard.read()
    except KernelError as error:
        if not enabled:
            return None  # where no table can be read, none of ours is in force
        hint = "; ".join(filter(None, (error.hint, _NEEDS)))
        raise KernelError(error.op, error.key, error.errno, hint=hint) from error
    if enabled:
        return guard
    guard.remove()
    guard.close()
    return None
