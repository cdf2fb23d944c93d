"""The record of our own services on a real file system: whatever befalls it, what can be read of it counts."""

from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.director.claim_file import SPARE_LINES, ClaimFile
from appliance.model.service import Protocol, ServiceKey

WEB = ServiceKey(ip_address("10.50.0.1"), Protocol.TCP, 80)
DNS = ServiceKey(ip_address("2001:db8:50::1"), Protocol.UDP, 53)
keys = st.builds(ServiceKey, st.ip_addresses(), st.sampled_from(Protocol), st.integers(1, 65535))


@given(st.lists(st.tuples(st.sampled_from("+-"), st.frozensets(keys, max_size=4)), max_size=8))
def test_what_was_said_last_of_each_service_is_loaded(
    tmp_path_factory: pytest.TempPathFactory, history: list[tuple[str, frozenset[ServiceKey]]]
) -> None:
    path = tmp_path_factory.mktemp("record") / "claims"
    file, claimed = ClaimFile(path), set[ServiceKey]()
    file.replace(claimed)
    for sign, said in history:
        claimed = claimed | said if sign == "+" else claimed - said
        file.add(sign, said, claimed)
    assert ClaimFile(path).load() == claimed


def test_without_a_file_there_is_no_record(tmp_path: Path) -> None:
    assert ClaimFile(tmp_path / "claims").load() is None


@pytest.mark.parametrize("content", [b"", b"\xff\x00", b"balanced-claims 2\n+ TCP 10.50.0.1 80\n"])
def test_what_is_not_ours_to_read_is_no_record(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "claims").write_bytes(content)
    assert ClaimFile(tmp_path / "claims").load() is None


def test_a_line_that_was_cut_short_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "claims"
    file = ClaimFile(path)
    file.replace({WEB})
    with path.open("a") as half:
        half.write("+ UDP 2001:d")
    file.add("+", {DNS}, {WEB, DNS})
    assert ClaimFile(path).load() == {WEB, DNS}


def test_history_does_not_grow_for_ever(tmp_path: Path) -> None:
    file = ClaimFile(tmp_path / "claims")
    file.replace({WEB})
    for _ in range(SPARE_LINES):
        file.add("+", {DNS}, {WEB, DNS})
        file.add("-", {DNS}, {WEB})
    assert (tmp_path / "claims").stat().st_size < SPARE_LINES * 50
    assert ClaimFile(tmp_path / "claims").load() == {WEB}


def test_a_folder_that_is_gone_is_an_error_when_saying(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ClaimFile(tmp_path / "gone/claims").add("+", {WEB}, {WEB})
