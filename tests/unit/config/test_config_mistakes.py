"""Each file in bad/ makes the mistakes that its first lines expect, word for word, and no others."""

from pathlib import Path

import pytest

from appliance.config.load import load
from appliance.errors import ConfigError

BAD = Path(__file__).parent / "bad"
EXPECT = b"# expect: "


def expected(path: Path) -> tuple[str, ...]:
    lines = (line for line in path.read_bytes().splitlines() if line.startswith(EXPECT))
    return tuple(f"{path}:{line.removeprefix(EXPECT).decode()}" for line in lines)


@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for path in sorted(BAD.glob("*.yaml"))])
def test_a_mistake_is_told_in_exactly_these_words(path: Path) -> None:
    """One line for each mistake: file, line, key, what is wrong and what to write instead."""
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert caught.value.mistakes == expected(path)


def test_every_bad_file_expects_something() -> None:
    """A file without an expectation would prove nothing."""
    assert all(expected(path) for path in BAD.glob("*.yaml"))


def test_mistakes_are_told_in_the_order_of_their_lines() -> None:
    """Two mistakes at once: both, the upper one first."""
    with pytest.raises(ConfigError) as caught:
        load(BAD / "two_mistakes.yaml")
    lines = [int(mistake.removeprefix(str(BAD)).split(":")[1]) for mistake in caught.value.mistakes]
    assert lines == sorted(lines)
    assert len(lines) == 2


@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for path in sorted(BAD.glob("password*.yaml"))])
def test_no_message_holds_a_password(path: Path) -> None:
    """Every password in these files holds the word hunter or 20022002; no message does."""
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert "hunter" not in str(caught.value)
    assert "20022002" not in str(caught.value)


def test_a_missing_file_is_told_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "none.yaml"
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert caught.value.mistakes == (
        f"{path}: cannot be read: No such file or directory (give the path of a readable YAML file)",
    )


def test_a_directory_is_no_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be read: Is a directory"):
        load(tmp_path)


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "huge.yaml"
    path.write_bytes(b"#" * ((1 << 20) + 1))
    with pytest.raises(ConfigError, match="holds more than 1048576 bytes"):
        load(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(b"hunter 2\n", "holds a character", id="a space in it"),
        pytest.param(b"\n", "has 0 characters", id="nothing in it"),
        pytest.param(b"hunter\xff\n", "holds no plain text", id="no text in it"),
    ],
)
def test_a_bad_password_file_is_told_without_its_content(tmp_path: Path, content: bytes, words: str) -> None:
    good = (BAD.parent / "good" / "appliance.yaml").read_text()
    (tmp_path / "tor1.password").write_bytes(content)
    (tmp_path / "appliance.yaml").write_text(good)
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "appliance.yaml")
    assert words in str(caught.value)
    assert "hunter" not in str(caught.value)
