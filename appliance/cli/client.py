"""The other end of the director's control socket."""

import json
import socket
from collections.abc import Mapping
from pathlib import Path

import msgspec

from appliance.errors import ControlError

TIMEOUT_S = 5.0


class _Answer(msgspec.Struct, frozen=True):
    ok: bool
    result: object = None
    error: str = ""


def ask(path: Path, verb: str, arguments: Mapping[str, object] | None = None) -> object:
    """Ask the director behind ``path`` and return its answer.

    Raises:
        ControlError: nobody listens, nobody answers in time, or the director refuses.
    """
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(TIMEOUT_S)
            connection.connect(str(path))
            connection.sendall(json.dumps({"verb": verb, "arguments": arguments or {}}).encode() + b"\n")
            with connection.makefile("rb") as answers:
                line = answers.readline()
    except (FileNotFoundError, ConnectionRefusedError):
        raise ControlError(
            f"no director listens on {path}", hint="start it: systemctl start balanced-director"
        ) from None
    except TimeoutError:
        raise ControlError(f"the director on {path} did not answer within {TIMEOUT_S:g} s") from None
    except OSError as error:
        raise ControlError(f"cannot ask the director on {path}: {error.strerror}") from None
    try:
        answer = msgspec.json.decode(line, type=_Answer) if line else _Answer(ok=False, error="it hung up")
    except msgspec.DecodeError as error:
        raise ControlError(f"what listens on {path} is no director: {error}") from None
    if not answer.ok:
        raise ControlError(f"the director refused: {answer.error}")
    return answer.result
