"""The director's last will: carried out by systemd when the director is lost for good and nobody vouches for this node.

Run alone, by any Python from 3.11 on: ``python3 -I -S last_will.py [RUNTIME_DIR]``. It imports nothing but the standard
library and reads no configuration: what to do was written down by the director while it was well
(appliance/director/will.py). It only ever makes routes worse or takes them away.

Exit status: 0 carried out, or nothing to do; 1 not carried out; 2 the will cannot be read.
"""

import fcntl
import json
import os
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

VERSION = 1
FILE = "last-will.json"
LOCK = "director.lock"
RUNTIME_DIR = "/run/balanced"
RETRY_FOR_S = 8.0
PAUSE_S = 0.3
DONE, FAILED, UNREADABLE = 0, 1, 2

# BIRD's reply codes (doc/reply_codes); from 8000 on they are errors.
WELCOME, PROTOCOL, FIRST_ERROR = 1, 1002, 8000
CONFIGURED = {3: "reconfigured", 4: "reconfiguration in progress", 5: "reconfiguration queued"}
SHUTTING_DOWN = 6
REASON = "balanced: the director is lost"


class NotDone(Exception):
    """BIRD said no; asking again would not help."""


@dataclass(frozen=True)
class Will:
    """What is to be done: put ``text`` at ``path``, then have BIRD read it, or disable ``protocols`` (withdraw).

    ``timeout_s`` is what BIRD may take for one answer, in seconds.
    """

    action: str
    socket: str
    timeout_s: float
    path: str
    text: str
    protocols: tuple[str, ...]


def read(path: Path) -> Will:
    """The will in this file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no will, or one of another version.
    """
    found = json.loads(path.read_bytes())
    if not isinstance(found, dict) or found.get("version") != VERSION:
        raise ValueError(f"not a will of version {VERSION}")
    try:
        words = {name: str(found[name]) for name in ("action", "socket", "path", "text")}
        will = Will(timeout_s=float(found["timeout_s"]), protocols=tuple(map(str, found["protocols"])), **words)
    except (KeyError, TypeError) as error:
        raise ValueError(f"incomplete: {error}") from error
    if will.action not in (*ACTS, "hold"):
        raise ValueError(f"asks for something unknown: {will.action!r}")
    return will


class Bird:
    """A connection to BIRD's control socket: lines ``NNNN-text``, the last of a reply ``NNNN text``."""

    def __init__(self, will: Will) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(will.timeout_s)
        self._socket.connect(will.socket)
        self._lines = self._socket.makefile("rb")
        if self._reply()[-1][0] != WELCOME:
            raise NotDone(f"{will.socket} is not BIRD's control socket")

    def ask(self, command: str) -> list[tuple[int, str]]:
        """Code and text of each line of the answer."""
        self._socket.sendall(command.encode("ascii") + b"\n")
        return self._reply()

    def _reply(self) -> list[tuple[int, str]]:
        found: list[tuple[int, str]] = []
        while True:
            line = self._lines.readline().decode(errors="replace").rstrip("\n")
            if not line:
                raise ConnectionError("BIRD closed the connection")
            if not line[:4].isdigit():
                continue  # a further line under the same code (" "), or something that BIRD says unasked ("+")
            found.append((int(line[:4]), line[5:]))
            if line[4:5] != "-":
                return found


def put(path: Path, text: str) -> None:
    """Make the file hold the text in one step; the other name is none that BIRD includes.

    Raises:
        OSError: the disk is full or read-only; the old file stands.
    """
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_text(text, encoding="ascii")
    fresh.chmod(0o644)
    fresh.replace(path)


def deprefer(bird: Bird, will: Will) -> str:
    """Have BIRD read the file. What is disabled would come up again by that, so then nothing is touched."""
    down = [name for name in will.protocols if not _is_up(bird, name)]
    if down:
        raise NotDone(f"{' and '.join(down)} is not up, and would be raised by a reconfiguration")
    code, text = bird.ask("configure")[-1]
    if code in CONFIGURED:
        return f"routes are de-preferred ({CONFIGURED[code]})"
    if code == SHUTTING_DOWN:
        return "BIRD is shutting down, and withdraws its routes by that"
    raise NotDone(f"BIRD refused the configuration: {code:04d} {text}")


def withdraw(bird: Bird, will: Will) -> str:
    """Disable the protocols that hold the VIPs."""
    for name in will.protocols:
        code, text = bird.ask(f'disable {name} "{REASON}"')[-1]
        if code >= FIRST_ERROR:
            raise NotDone(f"BIRD does not disable {name}: {code:04d} {text}")
    return "routes are withdrawn"


def _is_up(bird: Bird, name: str) -> bool:
    """``NAME PROTO TABLE STATE SINCE INFO``, the columns of ``show protocols`` (nest/proto.c)."""
    rows = [text.split() for code, text in bird.ask(f"show protocols {name}") if code == PROTOCOL]
    return any(row[:1] == [name] and row[3:4] == ["up"] for row in rows)


ACTS: Mapping[str, Callable[[Bird, Will], str]] = {"deprefer": deprefer, "withdraw": withdraw}


def carry_out(will: Will) -> str:
    """Do it, again and again for RETRY_FOR_S while BIRD does not answer; returns what was done.

    Raises:
        NotDone: it could not be done, and why.
    """
    act = ACTS[will.action]
    try:
        put(Path(will.path), will.text)
    except OSError as error:
        if act is deprefer:  # which is nothing but that file
            raise NotDone(f"{will.path} cannot be written: {error.strerror}") from error
    deadline_s = time.monotonic() + RETRY_FOR_S
    while True:
        try:
            return act(Bird(will), will)
        except OSError as error:  # also a time-out
            if time.monotonic() > deadline_s:
                raise NotDone(f"BIRD does not answer on {will.socket}: {error}") from error
        time.sleep(PAUSE_S)


def director_runs(folder: Path) -> bool:
    """Whether a director holds its lock: one that was started by hand, or just now, vouches for the node."""
    try:
        with (folder / LOCK).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def main(arguments: Sequence[str]) -> int:
    """Carry out the will in this folder, and say what came of it."""
    folder = Path(arguments[0] if arguments else RUNTIME_DIR)
    try:
        will = read(folder / FILE)
    except FileNotFoundError:
        return _say(DONE, f"no will in {folder}: no director has run since boot, so it announced nothing")
    except (OSError, ValueError) as error:
        return _say(UNREADABLE, f"{folder / FILE} cannot be read: {error}")
    if will.action == "hold":
        return _say(DONE, "routes stay as they are, as director.on_director_lost says")
    if director_runs(folder):
        return _say(DONE, "no, one runs: nothing to do")
    try:
        return _say(DONE, carry_out(will))
    except NotDone as error:
        return _say(FAILED, f"{will.action} was not carried out: {error}")


def _say(status: int, text: str) -> int:
    priority = "" if "JOURNAL_STREAM" not in os.environ else "<4>" if status == DONE else "<3>"
    sys.stderr.write(f"{priority}the director is lost: {text}\n")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
