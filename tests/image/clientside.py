"""What the client does to a VIP, as one program that runs there: ``clientside.py scan|ask|knock|forge|hear|ping ...``.

Each prints one line of JSON. Only the standard library, for it is copied to a machine that has nothing else.
"""

import argparse
import json
import selectors
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

# Not in Python's socket module: linux/in.h and linux/in6.h. A socket that may have any source address.
IP_TRANSPARENT, IPV6_TRANSPARENT = 19, 75
AT_ONCE = 400


def family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def ask(address: str, port: int, source: str, within_s: float) -> str:
    """What a new connection gets for an answer: the name of the server.

    Raises:
        OSError: nobody answers, or not in time.
    """
    with socket.socket(family(address), socket.SOCK_STREAM) as tcp:
        tcp.settimeout(within_s)
        if source:
            tcp.bind((source, 0))
        tcp.connect((address, port))
        tcp.sendall(b"GET / HTTP/1.1\r\n\r\n")
        answer = tcp.recv(4096).decode()
    if not answer.startswith("HTTP/1.1 200 "):
        raise ConnectionError(f"an answer that is none: {answer!r}")
    return answer.rpartition("\r\n\r\n")[2].strip()


def _answer(address: str, port: int, source: str, within_s: float) -> str:
    try:
        return ask(address, port, source, within_s)
    except OSError as error:
        return f"nobody: {error}"


def scan(address: str, ports: Sequence[int], within_s: float) -> dict[str, list[int]]:
    """Which of these TCP ports take a connection, refuse one, or say nothing."""
    found: dict[str, list[int]] = {"open": [], "refused": [], "silent": []}
    for start in range(0, len(ports), AT_ONCE):
        for port, verdict in _scanned(address, ports[start : start + AT_ONCE], within_s):
            found[verdict].append(port)
    return found


def _scanned(address: str, ports: Iterable[int], within_s: float) -> Iterable[tuple[int, str]]:
    with selectors.DefaultSelector() as waiting:
        for port in ports:
            tcp = socket.socket(family(address), socket.SOCK_STREAM)
            tcp.setblocking(False)
            tcp.connect_ex((address, port))
            waiting.register(tcp, selectors.EVENT_WRITE, port)
        deadline = time.monotonic() + within_s
        while waiting.get_map() and (left_s := deadline - time.monotonic()) > 0:
            for key, _events in waiting.select(left_s):
                tcp = waiting.unregister(key.fileobj).fileobj  # type: ignore[assignment]  # only sockets are registered
                yield key.data, "refused" if tcp.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) else "open"
                tcp.close()
        for key in list(waiting.get_map().values()):
            yield key.data, "silent"


def knock(addresses: Sequence[str], port: int, within_s: float, begun: Path) -> dict[str, object]:
    """Ask these addresses in turn, each time by a new connection, until SIGTERM; then say how it went.

    ``begun`` is there once all were asked.
    """
    ended: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: ended.append(number))
    asked, slowest_s = 0, 0.0
    servers: Counter[str] = Counter()
    failures: list[str] = []
    while not ended:
        address = addresses[asked % len(addresses)]
        began = time.monotonic()
        try:
            servers[ask(address, port, "", within_s)] += 1
        except OSError as error:
            failures.append(f"{time.strftime('%H:%M:%S')} {address}: {error}")
        asked += 1
        slowest_s = max(slowest_s, time.monotonic() - began)
        if asked == len(addresses):
            begun.touch()
    return {"asked": asked, "failures": failures, "slowest_s": slowest_s, "servers": servers}


def forge(source: str, address: str, port: int) -> dict[str, object]:
    """Send one datagram that claims to come from ``source``, which need be no address of this host."""
    with socket.socket(family(address), socket.SOCK_DGRAM) as udp:
        level, option = (
            (socket.IPPROTO_IPV6, IPV6_TRANSPARENT) if ":" in address else (socket.IPPROTO_IP, IP_TRANSPARENT)
        )
        udp.setsockopt(level, option, 1)
        udp.bind((source, 0))
        udp.sendto(source.encode(), (address, port))
    return {}


def ping(address: str, within_s: float) -> dict[str, object]:
    """Send an echo request and wait for the answer; the kernel adds number and checksum (ping(7) sockets).

    Raises:
        OSError: no answer in time.
    """
    protocol, request = (socket.IPPROTO_ICMPV6, 128) if ":" in address else (socket.IPPROTO_ICMP, 8)
    with socket.socket(family(address), socket.SOCK_DGRAM, protocol) as echo:
        echo.settimeout(within_s)
        echo.sendto(bytes([request, 0, 0, 0, 0, 0, 0, 1]) + b"balanced", (address, 0))
        answer, (source, *_) = echo.recvfrom(2048)
    return {"from": source, "type": answer[0]}


def hear(port: int, end: str, within_s: float) -> dict[str, object]:
    """The texts of all datagrams to this port until one says ``end``."""
    heard: list[str] = []
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as udp:
        udp.settimeout(within_s)
        udp.bind(("::", port))
        print("listening", file=sys.stderr, flush=True)
        while end not in heard:
            heard.append(udp.recv(2048).decode())
    return {"heard": heard}


def main() -> None:
    """Do what the command line says and print what came of it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--within-s", type=float, default=10)
    parser.add_argument("--source", default="")
    parser.add_argument("--port", type=int, default=80)
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--to", type=Path, help="the file that the line goes to, if it is not printed")
    parser.add_argument("verb", choices=["scan", "ask", "knock", "forge", "hear", "ping"])
    parser.add_argument("words", nargs="*")
    given = parser.parse_args()
    verb, words = given.verb, given.words
    found: object
    if verb == "scan":
        first, last, *more = map(int, words[1:])
        found = scan(words[0], sorted({*range(first, last + 1), *more}), given.within_s)
    elif verb == "ask":
        found = Counter(_answer(words[0], given.port, given.source, given.within_s) for _ in range(given.times))
    elif verb == "knock":
        found = knock(words, given.port, given.within_s, given.to)
    elif verb == "forge":
        found = forge(given.source, words[0], given.port)
    elif verb == "ping":
        found = ping(words[0], given.within_s)
    else:
        found = hear(given.port, words[0], given.within_s)
    if given.to:
        given.to.write_text(json.dumps(found) + "\n")
    else:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
