"""What a medium says, as files: its own, those that cloud-init's part of it asks for, and what is refused."""

from collections.abc import Mapping
from pathlib import PurePosixPath

import pytest

from appliance.errors import ConfigError
from appliance.firstboot.seed import MOST_BYTES, Seed, is_wanted, read_seed

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA someone"


def seed(**texts: str) -> Seed:
    """The seed of a medium with these files; ``_`` stands for a dash, ``__`` for a dot."""
    return read({name.replace("__", ".").replace("_", "-"): text for name, text in texts.items()})


def read(texts: Mapping[str, str]) -> Seed:
    return read_seed("volume CIDATA", {PurePosixPath(name): text.encode() for name, text in texts.items()})


def contents(found: Seed) -> dict[str, str]:
    return {str(path): content.decode() for path, content in found.files.items()}


def mistakes(texts: Mapping[str, str]) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as refused:
        read(texts)
    return refused.value.mistakes


def test_a_medium_is_a_copy_of_the_configuration_folder() -> None:
    files = {"appliance.yaml": "a", "tor1.password": "b", "services/web.yaml": "c", "network/10-up.network": "d"}
    assert contents(read(files)) == files


@pytest.mark.parametrize(
    "name",
    [
        "System Volume Information/WPSettings.dat",
        ".Trashes",
        "._appliance.yaml",
        "services/.web.yaml.swp",
        "services/notes.txt",
        "network/script.sh",
        "ssh/balanced",
        "deep/er/file",
    ],
)
def test_what_systems_and_editors_leave_on_a_stick_is_not_read(name: str) -> None:
    assert not is_wanted(PurePosixPath(name))


@pytest.mark.parametrize(
    "name", ["appliance.yaml", "user-data", "meta-data", "services/web.yaml", "ssh/root", "kubeconfig"]
)
def test_what_belongs_to_a_configuration_is_read(name: str) -> None:
    assert is_wanted(PurePosixPath(name))


def test_cloud_init_s_files_name_the_host_and_let_root_in() -> None:
    found = seed(
        meta_data="instance-id: i-1\nlocal-hostname: lb1\n", user_data=f"#cloud-config\nssh_authorized_keys: [{KEY}]"
    )
    assert contents(found) == {"hostname": "lb1\n", "ssh/root": f"{KEY}\n"}


def test_write_files_write_below_the_configuration_s_folder() -> None:
    entries = """#cloud-config
write_files:
  - {path: /etc/balanced/appliance.yaml, content: "node: {}"}
  - {path: services/web.yaml, content: c2VydmljZXM6IFtdCg==, encoding: b64}
"""
    assert contents(seed(user_data=entries)) == {"appliance.yaml": "node: {}", "services/web.yaml": "services: []\n"}


def test_a_file_of_its_own_goes_before_one_that_is_written_by_cloud_init_s_part() -> None:
    entries = "#cloud-config\nwrite_files: [{path: appliance.yaml, content: theirs}]"
    assert contents(read({"appliance.yaml": "own", "user-data": entries})) == {"appliance.yaml": "own"}


def test_another_instance_is_another_seed_even_if_nothing_else_is_different() -> None:
    assert seed(meta_data="instance-id: i-1").id != seed(meta_data="instance-id: i-2").id


def test_what_is_not_obeyed_is_named() -> None:
    found = seed(user_data="#cloud-config\npackages: [vim]\nruncmd: [reboot]", network_config="version: 2")
    assert found.notes == (
        "volume CIDATA/network-config is not read (write files for systemd-networkd into network/)",
        "volume CIDATA/user-data: packages is not obeyed here",
        "volume CIDATA/user-data: runcmd is not obeyed here",
    )
    assert found.files == {}


@pytest.mark.parametrize(
    ("texts", "mistake"),
    [
        pytest.param(
            {"user-data": "#!/bin/sh\nreboot"},
            "volume CIDATA/user-data:1: is not #cloud-config (nothing is run here; write YAML below such a line)",
            id="a script",
        ),
        pytest.param(
            {"user-data": "#cloud-config\nhostname: [a"},
            "volume CIDATA/user-data:2: not YAML: expected ',' or ']', but got '<stream end>' (mend the line)",
            id="no YAML",
        ),
        pytest.param(
            {"user-data": "#cloud-config\nhostname: 7"},
            "volume CIDATA/user-data: Expected `str`, got `int` - at `$.hostname` (docs/install.md has an example)",
            id="a value of another type",
        ),
        pytest.param(
            {"user-data": "#cloud-config\nwrite_files: [{path: /etc/shadow}]"},
            "volume CIDATA/user-data: write_files[0].path: '/etc/shadow': is not written here"
            " (write into /etc/balanced, or services, network or ssh/root there)",
            id="a file somewhere else",
        ),
        pytest.param(
            {"user-data": "#cloud-config\nwrite_files: [{path: /etc/balanced/../shadow}]"},
            "volume CIDATA/user-data: write_files[0].path: '/etc/balanced/../shadow': is not written here"
            " (write into /etc/balanced, or services, network or ssh/root there)",
            id="a way out of the folder",
        ),
        pytest.param(
            {"user-data": "#cloud-config\nwrite_files: [{path: a, encoding: gzip}]"},
            "volume CIDATA/user-data: write_files[0].encoding: 'gzip' (leave it out, or write b64)",
            id="an encoding that is not read",
        ),
        pytest.param(
            {"hostname": "lb_1; reboot"},
            "volume CIDATA: hostname: 'lb_1; reboot' is no host name (letters, digits and dashes, at most 64)",
            id="no host name",
        ),
        pytest.param(
            {"kubeconfig": "x" * (MOST_BYTES + 1)},
            f"volume CIDATA/kubeconfig: holds more than {MOST_BYTES} bytes (a medium is for configuration)",
            id="too large",
        ),
    ],
)
def test_a_mistake_names_the_place_and_the_remedy(texts: dict[str, str], mistake: str) -> None:
    assert mistakes(texts) == (mistake,)


def test_all_mistakes_are_named_at_once() -> None:
    assert len(mistakes({"meta-data": "[", "user-data": "reboot", "hostname": "-"})) == 3
