"""A double of an API server: in this process, in threads of its own, over real sockets, and it misbehaves on demand.

It serves what we use of one and no more: no validation but that of Events, no RBAC, no defaults, no conversion between
versions, no namespace has to exist. What it does answer the contract suite holds against a real server.
"""

import secrets
import shutil
import tempfile
import threading
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from http.server import ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.kube.certificates import Authority, new_authority, serving_context
from tests.kube.client import Client
from tests.kube.faults import Fault, Rule
from tests.kube.handler import Handler, State
from tests.kube.kubeconfig import write_kubeconfig
from tests.kube.objects import RESOURCES, Resource
from tests.kube.store import Store

ADDRESS = "127.0.0.1"
USERS = ("admin", "director")
END_S = 10.0
POLL_S = 0.02


class Double:
    """The double. A context manager; it can be stopped and started again, and keeps its objects and its port.

    A watch that wants bookmarks gets one every ``bookmark_interval_s``, and 2 s before its time is over.
    ``start`` listens at ``address`` in the network namespace of the thread that calls it; clients ask for ``name``, if
    it has one.
    """

    def __init__(
        self,
        *,
        users: Sequence[str] = USERS,
        discovery_versions: Iterable[str] = ("v1",),
        tls: bool = False,
        bookmark_interval_s: float = 60.0,
        address: str = ADDRESS,
        name: str = "",
    ) -> None:
        self.state = State({user: secrets.token_hex(16) for user in users}, (), bookmark_interval_s)
        self.state.speaking.set()
        self.serve_discovery(discovery_versions)
        self._tls = tls
        self._address = address
        self._name = name or address
        self._port = 0
        self._authorities = 0

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="balanced-double-"))
        with ExitStack() as undo:
            undo.callback(shutil.rmtree, self.folder)
            self._authority: Authority | None = new_authority(self.folder, "ca-0") if self._tls else None
            self.publish_authority()
            self.start()
            undo.callback(self.stop)
            self._exit = undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exit.close()

    @property
    def store(self) -> Store:
        """Its objects."""
        return self.state.store

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"{'https' if self._tls else 'http'}://{self._name}:{self._port}"

    @property
    def authority(self) -> Path | None:
        """The CA certificate that a client has to trust; None without TLS."""
        return self.folder / "ca.crt" if self._tls else None

    def client(self, user: str = "admin") -> Client:
        """A thin client with this user's token of now."""
        return Client(self.url, self.state.tokens[user], self.authority)

    def kubeconfig(self, user: str = "admin", *, token_file: bool = False) -> Path:
        """A kubeconfig with the user's token, or with a file that holds it."""
        file = self.folder / f"kubeconfig-{user}"
        secret = self.folder / f"token-{user}"
        secret.write_text(self.state.tokens[user])
        if token_file:
            return write_kubeconfig(
                file.with_suffix(".tokenfile"), self.url, authority=self.authority, token_file=secret
            )
        return write_kubeconfig(file, self.url, authority=self.authority, token=self.state.tokens[user])

    def rotate_token(self, user: str = "admin") -> None:
        """Give the user another token: the old one is refused from now on; all files hold the new one."""
        self.state.tokens[user] = secrets.token_hex(16)
        self.kubeconfig(user)

    def rotate_authority(self, *, published: bool = True) -> None:
        """Serve with a certificate of another CA from now on; ``authority`` is the same file with other content.

        Without ``published`` it still has the old content.
        """
        assert self._authority is not None
        self.stop()
        self._authorities += 1
        self._authority = new_authority(self.folder, f"ca-{self._authorities}")
        if published:
            self.publish_authority()
        self.start()

    def publish_authority(self) -> None:
        """Have clients find the certificate of the present CA."""
        if self._authority is not None:
            fresh = self.folder / "ca.new"
            shutil.copy(self._authority.certificate, fresh)
            fresh.rename(self.folder / "ca.crt")

    def serve_discovery(self, versions: Iterable[str]) -> None:
        """Serve these versions of discovery.k8s.io alone: none, ``v1beta1`` as before Kubernetes 1.21, ``v1``."""
        wanted = {f"discovery.k8s.io/{version}" for version in versions}
        self.state.resources = tuple(one for one in RESOURCES if not _is_discovery(one) or one.api_version in wanted)

    def start(self) -> None:
        """Listen, at the same port as before."""
        handler = type("DoubleHandler", (Handler,), {"state": self.state})
        self._server = _Server((self._address, self._port), handler)
        self._port = self._server.server_address[1]
        if self._authority is not None:
            context = serving_context(self._authority.server(self._address))
            # The handshake is the business of the connection's own thread.
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(target=self._server.serve_forever, args=(POLL_S,), name="double")
        self._thread.start()

    def stop(self) -> None:
        """Refuse connections and reset those that stand."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self.drop_connections()
        with self.state.lines_changed:
            assert self.state.lines_changed.wait_for(lambda: not self.state.lines, END_S), "a connection does not end"

    def restart(self) -> None:
        """Stop and start it."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Say nothing more, to anybody: connections stand and are accepted, watches are half-open."""
        self.state.speaking.clear()

    def resume(self) -> None:
        """Go on after a pause, where it was."""
        self.state.speaking.set()

    def compact(self) -> None:
        """Forget all but the newest state: a token of a list begun earlier and old resourceVersions are expired."""
        self.store.compact()

    def misbehave(
        self, fault: Fault, *, verb: str | None = None, kind: str | None = None, times: int | None = None
    ) -> None:
        """Meet requests with this verb (RBAC's word, or ``discover``) for this kind with a fault; None means any.

        Rules that were given earlier come first. A watch is a request too: standing ones go on, see ``interrupt``.
        """
        self.state.rules.append(Rule(fault, verb, kind, times))

    def behave(self) -> None:
        """Forget every rule."""
        self.state.rules.clear()

    def interrupt(self, fault: Fault) -> None:
        """Meet the standing watches with a fault: Expires, Drops, Garbles (a line) or Truncates (the last line)."""
        with self.store.changed:
            self.state.orders.append(fault)
            self.store.changed.notify_all()

    def drop_connections(self) -> None:
        """Reset every connection that stands."""
        with self.state.lines_changed:
            for line in self.state.lines:
                line.reset()
        with self.store.changed:
            self.store.changed.notify_all()

    def asked(self, verb: str, kind: str | None = None) -> int:
        """How many requests there were with this verb, for this kind (None: any)."""
        return sum(one.verb == verb and kind in (None, one.kind) for one in list(self.state.requests))

    @property
    def connections(self) -> int:
        """How many connections stand."""
        return len(self.state.lines)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def shutdown_request(self, request: Any) -> None:
        """Close it without a polite end, which would make a reset an ordinary end."""
        self.close_request(request)


def _is_discovery(resource: Resource) -> bool:
    return resource.api_version.startswith("discovery.k8s.io/")
