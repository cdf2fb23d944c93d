"""The kernel's command line and systemd's credentials, as media."""

from pathlib import Path

import pytest

from appliance.errors import ConfigError
from appliance.firstboot.media import credentials, server


@pytest.mark.parametrize(
    ("line", "url"),
    [
        pytest.param("root=/dev/vda quiet", None, id="nothing"),
        pytest.param("ds=nocloud", None, id="a volume only"),
        pytest.param("quiet ds=nocloud;s=https://10.0.0.1/lb1/ rw", "https://10.0.0.1/lb1/", id="short"),
        pytest.param("ds=nocloud-net;i=1;seedfrom=http://seed:8000/lb1", "http://seed:8000/lb1/", id="long"),
    ],
)
def test_the_command_line_names_a_server_as_cloud_init_has_it(line: str, url: str | None) -> None:
    assert server(line) == url


@pytest.mark.parametrize("url", ["/seed/", "file:///etc/shadow", "ftp://seed/", "https:///lb1/"])
def test_what_is_no_address_of_a_web_server_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match=r"kernel command line: ds: .* is no address \(write ds=nocloud;s=https"):
        server(f"ds=nocloud;s={url}")


def test_a_credential_is_a_file_of_its_name(tmp_path: Path) -> None:
    (tmp_path / "balanced.tor1.password").write_text("hush")
    (tmp_path / "ssh.authorized_keys.root").write_text("not ours")
    found = credentials(tmp_path)
    assert found is not None
    assert {str(path): content for path, content in found.files.items()} == {"tor1.password": b"hush"}


def test_credentials_may_hold_all_of_cloud_init_s_part(tmp_path: Path) -> None:
    (tmp_path / "balanced.user-data").write_text("#cloud-config\nhostname: lb1")
    found = credentials(tmp_path)
    assert found is not None
    assert list(map(str, found.files)) == ["hostname"]


def test_where_nobody_gave_any_there_are_none(tmp_path: Path) -> None:
    assert credentials(tmp_path) is None
    assert credentials(tmp_path / "missing") is None


def test_a_credential_that_is_no_name_of_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "balanced..hidden").write_text("")
    with pytest.raises(ConfigError, match=r"credential balanced\.\.hidden: is no name of a file"):
        credentials(tmp_path)
