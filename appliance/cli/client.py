"""The other end of the director's control socket."""

import json
import socket
from pathlib import Path

from appliance.errors import ControlError

TIMEOUT_S = 5.0


def ask(path: Path, verb: str) -> object:
    """Ask the director behind ``path`` and return its answer.

    Raises:
        ControlError: nobody listens, nobody answers in time, or the director refuses.
    """
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(TIMEOUT_S)
            connection.connect(str(path))
            connection.sendall(json.dumps({"verb": verb}).encode() + b"\n")
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
    answer = json.loads(line) if line else {"ok": False, "error": "it hung up"}
    if not answer["ok"]:
        raise ControlError(f"the director refused: {answer['error']}")
    return answer["result"]
