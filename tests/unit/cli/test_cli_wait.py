"""``balanced wait director``: until it answers and has begun to work. What ``wait vip`` waits for, the lab has."""

from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.cli import wait
from appliance.cli.main import main
from appliance.errors import ControlError


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[object]]:
    """Has the director answer these, one after the other, the last for ever."""

    def prepare(*given: object) -> list[object]:
        rest = list(given)

        def ask(path: Path, verb: str) -> object:
            assert (path.name, verb) == ("control.sock", "status")
            answer = rest.pop(0) if len(rest) > 1 else rest[0]
            if isinstance(answer, ControlError):
                raise answer
            return answer

        monkeypatch.setattr(wait, "ask", ask)
        monkeypatch.setattr(wait, "AGAIN_S", 0.0)
        return rest

    return prepare


def ends(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["wait", "director", *arguments])
    return int(ended.value.code or 0)


AWAY = ControlError("no director listens on /run/balanced/control.sock")
WAITING = {"waiting_for": "first word of source kubernetes", "passes": 0}
READY = {"waiting_for": "", "passes": 1}


def test_it_waits_until_the_director_has_begun_to_work(answers: Callable[..., list[object]]) -> None:
    rest = answers(AWAY, WAITING, {"waiting_for": "", "passes": 0}, READY)
    assert ends() == 0
    assert rest == [READY]


@pytest.mark.parametrize(
    ("answer", "why"),
    [(AWAY, "no director listens"), (WAITING, "it waits for the first word of source kubernetes")],
)
def test_waiting_in_vain_says_for_what(
    answer: object, why: str, answers: Callable[..., list[object]], capsys: pytest.CaptureFixture[str]
) -> None:
    answers(answer)
    assert ends("--timeout-s", "0") == 1
    assert f"waited 0 s in vain for the director: {why}" in capsys.readouterr().err


def test_an_address_that_is_none_is_bad_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["wait", "vip", "--vip", "web"])
    assert ended.value.code == 2
    assert "'web' is no IP address" in capsys.readouterr().err
