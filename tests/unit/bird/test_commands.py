"""What may be said to BIRD, and how often."""

import pytest

from appliance.bird.control import Command, configure, disable, show_exported, show_marked, show_routes
from appliance.bird.pace import Pace
from appliance.errors import BirdUnexpected


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("show status\ndisable balanced_vips4", id="a newline would start a second command"),
        pytest.param("show status\r", id="a control character"),
        pytest.param("", id="nothing"),
        pytest.param("show \N{LATIN SMALL LETTER E WITH ACUTE}", id="not ASCII"),
        pytest.param("x" * 1001, id="BIRD would close the connection"),
    ],
)
def test_a_command_is_one_short_line_of_ascii(text: str) -> None:
    with pytest.raises(ValueError, match="not a command"):
        Command(text)


@pytest.mark.parametrize("name", ["a b", "a'b", "a\nb", "", "x" * 65])
def test_a_name_that_could_end_its_quotes_never_becomes_part_of_a_command(name: str) -> None:
    with pytest.raises(BirdUnexpected, match="no name of a protocol"):
        show_exported("balanced_vips4", name)


def test_commands_are_built_from_typed_values() -> None:
    assert configure(10).text == "configure timeout 10"
    assert show_routes("balanced_vips4").text == "show route protocol 'balanced_vips4'"
    assert show_exported("balanced_vips4", "tor-1").text == "show route protocol 'balanced_vips4' exported 'tor-1'"


def test_a_mark_is_asked_for_and_a_reason_is_given_within_quotes() -> None:
    asked = "show route protocol 'balanced_vips4' where (65535,0) ~ bgp_community"
    assert show_marked("balanced_vips4").text == asked
    assert disable("balanced_vips4", "balanced: x").text == "disable 'balanced_vips4' \"balanced: x\""
    with pytest.raises(ValueError, match="not a reason"):
        disable("balanced_vips4", 'a" b')


def test_the_first_change_goes_at_once_and_the_next_after_the_interval() -> None:
    pace = Pace(1.0)
    assert pace.ready_in_s(100.0) == 0
    pace.spend(100.0)
    assert pace.ready_in_s(100.25) == 0.75
    assert pace.ready_in_s(101.0) == 0
    assert pace.ready_in_s(500.0) == 0
