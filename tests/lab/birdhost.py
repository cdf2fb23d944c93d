"""A host of the lab that runs BIRD."""

import contextlib
import socket
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab.birds import BirdInstall, machine_bird
from tests.lab.hosts import Host, Process, wait_until
from tests.lab.plan import ANSWER_WITHIN_S


@dataclass
class Bird(Host):
    """A host that runs BIRD, with configuration and control socket in its own folder."""

    install: BirdInstall = field(default_factory=machine_bird, repr=False)

    @property
    def bird_config(self) -> Path:
        return self.folder / "bird.conf"

    @property
    def bird_socket(self) -> Path:
        return self.folder / "bird.ctl"

    def start_bird(self, config: str | None = None) -> Process:
        """Start BIRD and wait until it answers; given a configuration, write it first."""
        if config is not None:
            self.write("bird.conf", config)
        argv = [*self.install.bird, "-f", "-c", str(self.bird_config), "-s", str(self.bird_socket)]
        process = self.start(argv, "bird")

        def answers() -> bool:
            assert process.running, f"{process.name} ended:\n{process.text()}"
            with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
                return "Daemon is up and running" in self.birdc("show status")
            return False

        wait_until(answers, 10, f"{process.name} to answer")
        return process

    def birdc(self, command: str) -> str:
        """What BIRD answers to a command, without its reply codes.

        The socket is spoken to directly, since ``birdc`` itself takes 0.2 s to start in the lab kernel. Lines are
        ``NNNN-text`` and, as the last one, ``NNNN text``; a line without a number begins with a space, and one that
        belongs to no answer with a plus sign (BIRD's doc/reply_codes).

        Raises:
            OSError: there is no BIRD, or it is silent.
        """
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(ANSWER_WITHIN_S)
            control.connect(str(self.bird_socket))
            with control.makefile(encoding="utf-8", newline="\n") as replies:
                replies.readline()  # its greeting
                control.sendall(f"{command}\n".encode())
                lines: list[str] = []
                for line in replies:
                    if line.startswith("+"):
                        continue
                    numbered = line[:4].isdigit()
                    lines.append(line[5:] if numbered else line[1:])
                    if numbered and line[4:5] == " ":
                        break
        return "".join(lines)
