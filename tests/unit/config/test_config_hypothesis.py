"""Whatever the file holds, it gives a Config or a ConfigError; anything else would be a traceback for the operator."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.config.load import load
from appliance.config.schema import Config
from appliance.errors import ConfigError

GOOD = yaml.safe_load((Path(__file__).parent / "good" / "appliance.yaml").read_text())
SHARED_DIRECTORY = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

words = st.sampled_from(
    ["10.0.0.1", "10.0.0.1/24", "::1", "1:2", "1:2:3", "mh", "-1", "0x1", "~", "yes", "1.5", "", "/a", "fe80::1%e", "'"]
)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), words, st.text(max_size=8), st.dates(), st.binary(max_size=4)
)
trees = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(scalars.filter(bool) | words, inner, max_size=4),
    max_leaves=12,
)


def _places(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place, *(inner for key, item in items for inner in _places(item, (*place, key)))]


def _put(tree: Any, place: tuple[Any, ...], value: Any) -> Any:
    if not place:
        return value
    changed = copy.copy(tree)
    changed[place[0]] = _put(tree[place[0]], place[1:], value)
    return changed


def _is_judged(path: Path, content: bytes) -> bool:
    """Whether ``content`` is a Config, or every one of its mistakes is a printable line that starts with the file."""
    path.write_bytes(content)
    try:
        return isinstance(load(path), Config)
    except ConfigError as error:
        lines = error.mistakes
    return bool(lines) and all(line.startswith(f"{path}:") and line.isprintable() for line in lines)


@SHARED_DIRECTORY
@given(tree=trees)
def test_any_tree_gives_a_configuration_or_its_mistakes(tmp_path: Path, tree: Any) -> None:
    assert _is_judged(tmp_path / "a.yaml", yaml.dump(tree, allow_unicode=True).encode("utf-8", "surrogatepass"))


@SHARED_DIRECTORY
@given(place=st.sampled_from(_places(GOOD)), value=trees)
def test_any_value_in_any_place_gives_a_configuration_or_its_mistakes(
    tmp_path: Path, place: tuple[Any, ...], value: Any
) -> None:
    assert _is_judged(tmp_path / "a.yaml", yaml.safe_dump(_put(GOOD, place, value)).encode())


@SHARED_DIRECTORY
@given(content=st.binary(max_size=60) | st.text("{}[]:-,'\"&*!|>#%@?\\ \n\tab01", max_size=60).map(str.encode))
def test_any_bytes_give_a_configuration_or_their_mistakes(tmp_path: Path, content: bytes) -> None:
    assert _is_judged(tmp_path / "a.yaml", content)


def test_the_judge_fails_on_another_exception(tmp_path: Path) -> None:
    """The oracle of the tests above is able to fail: a file name with a NUL is no ConfigError."""
    with pytest.raises(ValueError, match="null"):
        _is_judged(tmp_path / "a\0.yaml", b"")
