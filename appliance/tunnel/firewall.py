"""The firewall of a backend's namespace: what holds the clamps and the lock. Every call belongs into that namespace."""

from typing import NamedTuple, Protocol

from appliance.model.tunnel import Rules


class Standing(NamedTuple):
    """What of ours stands: the rules, None where that is not known, and whether there is anything at all."""

    rules: Rules | None
    is_marked: bool


class Firewall(Protocol):
    """nftables or iptables. ``place`` is a name of the namespace that no later one has."""

    def read(self, place: str) -> Standing:
        """What stands, as far as it is known without reading it all.

        Raises:
            KernelError: the kernel does not say.
        """
        ...

    def put(self, place: str, rules: Rules) -> None:
        """Have these rules, and nothing else of ours.

        Raises:
            KernelError: the kernel refused.
        """
        ...

    def remove(self, place: str) -> None:
        """Take everything of ours away.

        Raises:
            KernelError: the kernel refused.
        """
        ...

    def forget(self, place: str) -> None:
        """The namespace is gone."""
        ...
