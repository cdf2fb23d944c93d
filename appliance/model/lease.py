"""The right to lead, as one record that all candidates can read."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """A Lease as it was read, or as it is to be.

    ``holder`` leads, nobody where it is empty. A holder that wrote nothing for ``duration_s`` is gone. ``transitions``
    counts the leaders, ``acquired`` is when this one began. ``version`` changes with each write; empty: there is none.
    """

    holder: str
    duration_s: int
    transitions: int = 0
    acquired: str = ""
    version: str = ""
