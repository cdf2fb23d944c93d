"""The demonstration: one VIP, two directors, three real servers, and what happens when things break.

Runs in the lab kernel (``make demo``). Every command that is shown is really run; the exit code is 0 only if everything
that the story says has happened.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from tests.lab.hosts import Host
from tests.lab.serving import Serving
from tests.lab.topology import SERVERS, Director, Lab, build_lab

VIP = "10.50.0.1"
LONG_WAIT_S = 60.0
POLL_S = 0.02
SAY_EVERY_S = 1.0
COLOUR = "NO_COLOR" not in os.environ  # set by boot.py where the output is no terminal
BOLD, GREEN, RED, CYAN, DIM = "1", "32", "31", "36", "2"
Seen = TypeVar("Seen")


def paint(text: str, *codes: str) -> str:
    return f"\033[{';'.join(codes)}m{text}\033[0m" if COLOUR else text


def say(text: str) -> None:
    print(text, flush=True)


def chapter(title: str) -> None:
    say(f"\n{paint('== ' + title, BOLD)}")


@dataclass
class Story:
    """What is told, and what was measured on the way."""

    lab: Lab
    measured: list[tuple[str, str]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def show(self, host: Host, argv: Sequence[str], keep: Callable[[str], bool] = lambda _: True) -> str:
        """Run a command on a host and print it with its output, as a terminal would."""
        output = host.run(argv, check=False)
        self.print_command(host, " ".join(argv), output, keep)
        return output

    def print_command(
        self, host: Host, command: str, output: str, keep: Callable[[str], bool] = lambda _: True
    ) -> None:
        say(f"  {paint(host.name + '#', CYAN)} {command}")
        for line in output.rstrip().splitlines():
            if keep(line):
                say(f"    {line}")

    def birdc(self, host: Director, command: str) -> None:
        self.print_command(host, f"birdc {command}", host.birdc(command))

    def routes(self) -> None:
        """The router's table, as its operator would look at it."""
        router = self.lab.router
        self.print_command(router, f"birdc show route {VIP}/32", router.birdc(f"show route {VIP}/32"))
        self.show(router, ["ip", "route", "show", VIP])

    def requests(self, number: int) -> None:
        """So many requests, each on a new connection; a request without an answer fails the story."""
        try:
            seen = self.lab.client.spread(VIP, number)
        except OSError as error:
            self.expect(f"{number} requests answered", good=False)
            say(f"    {error}")
            return
        spread = ", ".join(f"{server} {seen[server]}" for server in SERVERS)
        self.print_command(self.lab.client, f"curl http://{VIP}/   # {number} times", spread)
        self.expect(f"{number} of {seen.total()} requests answered", good=seen.total() == number)

    def wait(self, what: str, seen: Callable[[], Seen], within_s: float = LONG_WAIT_S) -> float:
        """Wait for something with a line of progress; returns the seconds it took."""
        started_s = said_s = time.monotonic()
        while not seen():
            now_s = time.monotonic()
            if now_s - started_s > within_s:
                self.expect(what, good=False)
                return now_s - started_s
            if now_s - said_s >= SAY_EVERY_S:
                said_s = now_s
                say(paint(f"  ... {now_s - started_s:.0f} s, waiting for: {what}", DIM))
            time.sleep(POLL_S)
        took_s = time.monotonic() - started_s
        self.expect(f"{what} ({took_s:.2f} s)", good=True)
        return took_s

    def expect(self, what: str, *, good: bool) -> None:
        if not good:
            self.failures.append(what)
        say(f"  {paint('ok', GREEN, BOLD) if good else paint('FAILED', RED, BOLD)}  {what}")

    def measure(self, name: str, seconds: float) -> None:
        self.measured.append((name, f"{seconds * 1000:.0f} ms"))

    def hops(self) -> set[str]:
        return self.lab.router.routes_to(VIP)


def begin(story: Story, serving: Serving) -> None:
    chapter("Two directors are told of one VIP and three real servers")
    serving.write("web", VIP)
    story.print_command(story.lab.directors[0], "cat services/web.yaml", (serving.services / "web.yaml").read_text())
    story.lab.serve(VIP)
    for director in story.lab.directors:
        serving.start(director)
    story.wait("both directors have proven the VIP and the router has two next hops", lambda: len(story.hops()) == 2)
    story.routes()
    story.show(story.lab.directors[0], ["ipvsadm", "-Ln"])
    story.requests(30)


def flush_by_hand(story: Story) -> None:
    first = story.lab.directors[0]
    chapter("Somebody flushes IPVS on director1: repaired in place, the router hears nothing")
    before, table = story.lab.router.sessions(), first.run(["ipvsadm", "-Sn"])
    story.show(first, ["ipvsadm", "-C"])
    took_s = story.wait("the table stands again", lambda: first.run(["ipvsadm", "-Sn"]) == table)
    story.measure("flushed by hand -> table rebuilt", took_s)
    story.expect("not one BGP update at the router", good=story.lab.router.sessions() == before)
    story.requests(30)


@contextmanager
def undone_again_and_again(director: Director) -> Iterator[None]:
    """Something else flushes the table of ``director`` all the time."""
    flusher = director.start(["sh", "-c", "while ipvsadm -C; do :; done"], "flusher")
    try:
        yield
    finally:
        flusher.kill()


def break_for_good(story: Story) -> None:
    first = story.lab.directors[0]
    chapter("Something keeps flushing IPVS on director1: its route goes, traffic goes on through director2")
    story.print_command(first, "while ipvsadm -C; do :; done &", "")
    with undone_again_and_again(first):
        took_s = story.wait("the route through director1 is gone at the router", lambda: story.hops() == {"director2"})
        story.measure("IPVS broken -> route gone at the router", took_s)
        story.routes()
        story.requests(30)
        story.print_command(first, "kill %1", "")
    chapter("The flushing has ended: the route comes back once the repair is proven")
    took_s = story.wait("the router has two next hops again", lambda: len(story.hops()) == 2)
    story.measure("IPVS left alone -> route back at the router", took_s)
    story.routes()
    story.requests(30)


def summary(story: Story, serving: Serving) -> None:
    chapter("How director1 tells it")
    first = story.lab.directors[0]
    story.print_command(
        first, "balanced status", first.balanced("status", "--socket", f"{first.folder}/run/control.sock", check=False)
    )
    daemon = serving.daemons[first.name]
    told = [line for line in daemon.text().splitlines() if VIP in line and ("ing" in line.split("VIP=")[0])]
    story.print_command(first, "journalctl -u balanced-director", "\n".join(told[-8:]))
    chapter("Measured")
    width = max(len(name) for name, _ in story.measured)
    for name, value in story.measured:
        say(f"  {name:{width}}  {paint(f'{value:>8}', BOLD)}")
    if story.failures:
        say(paint(f"\nFAILED: {'; '.join(story.failures)}", RED, BOLD))
    else:
        say(paint("\nEverything that was told has happened.", GREEN, BOLD))


def main() -> int:
    started_s = time.monotonic()
    say(paint("BalanceD: a VIP served by two directors (a client, a router with ECMP, three real servers)", BOLD))
    with build_lab() as lab:
        services = lab.client.folder / "services"
        services.mkdir()
        serving, story = Serving(lab, services), Story(lab)
        begin(story, serving)
        if not story.failures:
            flush_by_hand(story)
            break_for_good(story)
        summary(story, serving)
    say(f"The whole story took {time.monotonic() - started_s:.0f} s.")
    return 1 if story.failures else 0


if __name__ == "__main__":
    sys.exit(main())
