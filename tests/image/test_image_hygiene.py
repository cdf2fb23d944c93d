"""What a node must not bring along: identities and secrets of the build, and what the build left lying."""

from typing import Any

import pytest


def test_no_password_lets_anybody_in(host: Any) -> None:
    locked = host.check_output("awk -F: '$2 !~ /^[!*]/ {print $1}' /etc/shadow")
    assert locked == ""


def test_sshd_takes_keys_only(host: Any) -> None:
    settings = host.check_output("sshd -T").splitlines()
    for wanted in ("passwordauthentication no", "kbdinteractiveauthentication no", "permitemptypasswords no"):
        assert wanted in settings


@pytest.mark.image
def test_only_root_and_system_users_are_there(host: Any) -> None:
    people = host.check_output("awk -F: '$3 >= 1000 && $1 != \"nobody\" {print $1}' /etc/passwd")
    assert people == ""


@pytest.mark.image
def test_host_keys_were_made_on_this_node(host: Any) -> None:
    """Not before the machine that the image was baked on had gone: their files are younger than this start."""
    started = int(host.check_output("stat -c %Y /proc/1"))
    made = int(host.check_output("stat -c %Y /etc/ssh/ssh_host_ed25519_key"))
    assert made >= started - 60


@pytest.mark.image
@pytest.mark.parametrize(
    "path",
    ["/root/.ansible", "/root/.bash_history", "/root/.cache", "/var/log/apt", "/var/log/dpkg.log", "/etc/hostname"],
)
def test_nothing_of_the_build_is_left(host: Any, path: str) -> None:
    assert not host.file(path).exists


@pytest.mark.image
def test_no_package_lists_and_no_downloads_are_left(host: Any) -> None:
    assert host.check_output("find /var/lib/apt/lists /var/cache/apt -type f | wc -l") == "0"


@pytest.mark.image
def test_the_journal_begins_with_this_start(host: Any) -> None:
    assert len(host.check_output("journalctl --list-boots --no-pager -q").splitlines()) == 1


@pytest.mark.image
def test_root_has_no_key_but_the_one_that_was_given(host: Any) -> None:
    assert len(host.check_output("cat /root/.ssh/authorized_keys").splitlines()) == 1


def test_no_program_may_become_root_that_debian_did_not_ship(host: Any) -> None:
    assert host.check_output("find / -xdev -perm /6000 -type f -exec dpkg --search {} + 2>&1 >/dev/null || true") == ""
