"""The wheelhouse: what pip is told to install, and what decides whether it is made anew."""

import pytest

from image.wheelhouse import key, requirements

DIGEST = "ab" * 32


def test_each_wheel_is_named_by_version_and_hash_in_one_order() -> None:
    wheels = {"b_c-2.0.1-cp313-cp313-linux_x86_64.whl": DIGEST, "a-1-py3-none-any.whl": DIGEST}
    assert requirements(wheels) == f"a==1 --hash=sha256:{DIGEST}\nb_c==2.0.1 --hash=sha256:{DIGEST}\n"


@pytest.mark.parametrize("name", ["a-1.tar.gz", "a.whl", "a-1-py3-none-any.whl\n--index-url x", "-r-1-2-3-4.whl"])
def test_a_file_that_is_no_wheel_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is not the name of a wheel"):
        requirements({name: DIGEST})


def test_a_key_changes_with_each_part_and_with_the_border_between_them() -> None:
    keys = {key("trixie", parts) for parts in ([b"ab", b"c"], [b"a", b"bc"], [b"abc"], [b"ab", b"d"])}
    assert len(keys) == 4
    assert key("trixie", [b"ab", b"c"]) in keys
    assert all(each.startswith("trixie-") for each in keys)
