"""Tables of legacy iptables in bytes, where no kernel is asked: what is no table, and what a table keeps."""

from ipaddress import ip_address, ip_network

import pytest

from appliance.errors import KernelError
from appliance.model.tunnel import Clamp, Rules
from appliance.tunnel.xtables import Table, cut, holds, is_marked, replaced

_POLICY = (
    bytes(88)
    + bytes([112, 0, 152, 0])
    + bytes(20)
    + bytes([40, 0])
    + bytes(30)
    + (-2).to_bytes(4, "little", signed=True)
    + bytes(4)
)
_END = (
    bytes(88)
    + bytes([112, 0, 176, 0])
    + bytes(20)
    + bytes([64, 0])
    + b"ERROR".ljust(30, b"\0")
    + b"ERROR".ljust(32, b"\0")
)
FRESH = Table(4, "filter", 0b1110, (0, 0, 152, 304, 0), (0, 0, 152, 304, 0), (_POLICY, _POLICY, _POLICY, _END))
RULES = Rules(frozenset({Clamp(ip_address("10.50.0.1"), 1440)}), (ip_network("10.0.11.0/24"),), frozenset({6080}))


def test_i4_what_was_put_there_is_held_and_goes_again_without_a_trace() -> None:
    """Chains of hooks and their policies move, and come back to where they were."""
    table = replaced(FRESH, RULES)
    assert (is_marked(FRESH), is_marked(table)) == (False, True)
    assert (holds(FRESH, RULES), holds(table, RULES)) == (False, True)
    assert (table.begins[1:4], table.policies[1:4]) == ((0, 304, 456), (152, 304, 456))
    assert cut(4, b"".join(table.entries)) == table.entries
    bare = replaced(table, None)
    assert (bare.entries, bare.begins, bare.policies) == (FRESH.entries, FRESH.begins, FRESH.policies)
    assert replaced(table, RULES).entries == table.entries


def test_counters_are_taken_over_by_entries_of_others_alone() -> None:
    assert replaced(FRESH, RULES).origins == (None, 0, 1, 2, None, None, None, None, None, None, 3)


def test_counters_and_what_the_kernel_notes_for_itself_are_no_difference() -> None:
    blob = bytearray(b"".join(FRESH.entries))
    blob[92:112] = b"x" * 20
    assert cut(4, bytes(blob)) == FRESH.entries


@pytest.mark.parametrize(
    "blob",
    [
        pytest.param(b"x", id="less than a head"),
        pytest.param(_POLICY[:-1], id="the last entry is cut off"),
        pytest.param(bytes(112), id="an entry of no size, which would never end"),
        pytest.param(bytes(88) + bytes([200, 0, 152, 0]) + bytes(60), id="a target behind its entry"),
    ],
)
def test_bytes_that_are_no_table_are_refused(blob: bytes) -> None:
    with pytest.raises(KernelError, match="table at byte 0"):
        cut(4, blob)
