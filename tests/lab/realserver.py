"""A real server: HTTP/1.1 with keep-alive and a UDP echo on one port; both say the server's name.

``realserver.py NAME [PORT]``. Each answer is the name and, in the header X-Client (HTTP) or as the second word (UDP),
the client's address as it arrived: that is how a test sees that nothing rewrote it. Only light modules: importing
http.server costs a second in the lab kernel.
"""

import socket
import sys
import threading


def plain(address: str) -> str:
    """``::ffff:192.0.2.1`` as people write it."""
    return address.removeprefix("::ffff:")


def bound(kind: socket.SocketKind, port: int) -> socket.socket:
    """A socket for IPv4 and IPv6 at once, on every address of this host."""
    wide = socket.socket(socket.AF_INET6, kind)
    wide.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    wide.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    wide.bind(("::", port))
    return wide


def talk(name: str, connection: socket.socket, client: str) -> None:
    """Answer every request on one connection, whatever it asks for, until the client closes it."""
    body = f"{name}\n"
    answer = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nX-Client: {client}\r\n\r\n{body}".encode()
    with connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        unread = b""
        while data := connection.recv(4096):
            *requests, unread = (unread + data).split(b"\r\n\r\n")
            connection.sendall(answer * len(requests))


def echo(name: str, udp: socket.socket) -> None:
    """Answer every datagram from the address it was sent to: a wildcard socket would answer from the node's own."""
    udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    while True:
        _data, control, _flags, client = udp.recvmsg(2048, socket.CMSG_SPACE(20))
        # struct in6_pktinfo is the address and the interface; interface 0 leaves the way back to the routes.
        source = [(level, kind, info[:16] + bytes(4)) for level, kind, info in control]
        udp.sendmsg([f"{name} {plain(client[0])}\n".encode()], source, 0, client)


def main() -> None:
    """Serve until killed."""
    name, port = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 80
    tcp, udp = bound(socket.SOCK_STREAM, port), bound(socket.SOCK_DGRAM, port)
    tcp.listen(128)
    threading.Thread(target=echo, args=(name, udp), daemon=True).start()
    print(f"{name} serves on port {port}", flush=True)
    while True:
        connection, client = tcp.accept()
        threading.Thread(target=talk, args=(name, connection, plain(client[0])), daemon=True).start()


if __name__ == "__main__":
    main()
