"""A real API server for tests: etcd and kube-apiserver, on loopback, with TLS, tokens, client certificates and RBAC.

There is no controller manager: nobody makes Endpoints for a Service or ends a namespace, a test does what it needs.
"""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.kube import assets
from tests.kube.certificates import new_authority, new_key
from tests.kube.client import Client
from tests.kube.kubeconfig import write_kubeconfig

READY_S = 120.0
"""A bound for the lab kernel on a busy machine; on an idle one the server is ready within 5 s."""
STOP_S = 10.0
POLL_S = 0.05
USERS: Mapping[str, tuple[str, ...]] = {"admin": ("system:masters",), "director": ("balanced",)}
"""Who has a token from the start, and in which groups. All but the administrator have the rights that a test gives."""


class Cluster:
    """One etcd and one kube-apiserver, with everything they write in a folder of their own. A context manager.

    Enter it in the network that it shall stand in: its processes take over the network namespace of the calling thread.
    They end with the block, and with the calling thread should it die first.
    """

    def __init__(
        self, *, address: str = "127.0.0.1", users: Mapping[str, Sequence[str]] = USERS, flags: Sequence[str] = ()
    ) -> None:
        self.assets = assets.find()
        self.address = address
        self._users = users
        self._flags = flags

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="balanced-kube-"))
        with contextlib.ExitStack() as undo:
            undo.callback(shutil.rmtree, self.folder)
            self._authority = new_authority(self.folder)
            self._serving = self._authority.server(self.address)
            self._signing_key = new_key(self.folder / "service-accounts.key")
            self._tokens = {user: secrets.token_hex(16) for user in self._users}
            self._write_tokens()
            self._etcd_port, self._peer_port = _free_port("127.0.0.1"), _free_port("127.0.0.1")
            self._port = _free_port(self.address)
            self._etcd = undo.enter_context(_Program("etcd", self.folder, self._etcd_argv()))
            self._server = undo.enter_context(_Program("kube-apiserver", self.folder, self._server_argv()))
            self._etcd.start()
            self.start()
            self._exit = undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exit.close()

    @property
    def url(self) -> str:
        """Where the API server listens."""
        return f"https://{self.address}:{self._port}"

    @property
    def authority(self) -> Path:
        """The CA certificate that a client has to trust."""
        return self._authority.certificate

    @property
    def version(self) -> str:
        """What the API server calls itself: ``v1.20.2``."""
        return self.assets.version

    def client(self, user: str = "admin") -> Client:
        """A thin client with this user's token of now."""
        return Client(self.url, self._tokens[user], self.authority)

    def kubeconfig(self, user: str = "admin", *, certificate: bool = False, token_file: bool = False) -> Path:
        """A kubeconfig with the user's token, or with a file that holds it, or with a client certificate.

        Anybody can have a certificate, tokens are for those whom the cluster was made with.
        """
        file = self.folder / f"kubeconfig-{user.replace(':', '-')}"
        if certificate:
            pair = self._authority.client(user, self._users.get(user, ()))
            return write_kubeconfig(
                file.with_suffix(".certificate"), self.url, authority=self.authority, certificate=pair
            )
        if token_file:
            path = self._token_file(user)
            return write_kubeconfig(file.with_suffix(".tokenfile"), self.url, authority=self.authority, token_file=path)
        return write_kubeconfig(file, self.url, authority=self.authority, token=self._tokens[user])

    def rotate_token(self, user: str = "admin") -> None:
        """Give the user another token: the server is restarted and refuses the old one; all files hold the new one."""
        self._tokens[user] = secrets.token_hex(16)
        self._write_tokens()
        self.kubeconfig(user)
        self.restart()

    def service_account_token(self, namespace: str, name: str) -> str:
        """A token of an existing ServiceAccount, as a pod of it would have."""
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        token: str = self.client().request("POST", path, request).expect(201)["status"]["token"]
        return token

    def start(self) -> None:
        """Start the API server and wait until it is ready."""
        self._server.start()
        _wait(self._is_ready, READY_S, (self._etcd, self._server))

    def stop(self) -> None:
        """End the API server: connections are refused. etcd keeps what it has."""
        self._server.stop()

    def restart(self) -> None:
        """Stop and start it."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """The API server says nothing more; its kernel still accepts connections."""
        self._server.signal(signal.SIGSTOP)
        self._server.wait_stopped()

    def resume(self) -> None:
        """It goes on after a pause."""
        self._server.signal(signal.SIGCONT)

    def compact(self) -> None:
        """Make etcd forget all but the newest state, so that the token of a list begun earlier is expired."""
        # etcd's manual, "gRPC gateway": JSON over HTTP, with a key in base64.
        etcd = Client(f"http://127.0.0.1:{self._etcd_port}")
        newest = etcd.request("POST", "/v3/kv/range", {"key": "AA=="}).expect(200)["header"]["revision"]
        etcd.request("POST", "/v3/kv/compaction", {"revision": newest, "physical": True}).expect(200)

    def _is_ready(self) -> bool:
        """It says so, and has made the namespace ``default``, which it does a moment later."""
        client = Client(self.url, self._tokens["admin"], self.authority, timeout_s=5.0)
        with contextlib.suppress(OSError):
            answers = [client.get(path).status for path in ("/readyz", "/api/v1/namespaces/default")]
            return answers == [HTTPStatus.OK, HTTPStatus.OK]
        return False

    def _token_file(self, user: str) -> Path:
        return self.folder / f"token-{user}"

    def _write_tokens(self) -> None:
        """Columns of the token file: token, user name, uid, groups."""
        lines = [f'{token},{user},{user},"{",".join(self._users[user])}"' for user, token in self._tokens.items()]
        (self.folder / "tokens.csv").write_text("\n".join(lines) + "\n")
        for user, token in self._tokens.items():
            self._token_file(user).write_text(token)

    def _etcd_argv(self) -> list[str]:
        client, peer = f"http://127.0.0.1:{self._etcd_port}", f"http://127.0.0.1:{self._peer_port}"
        options = {
            "name": "test",
            "data-dir": self.folder / "etcd",
            "listen-client-urls": client,
            "advertise-client-urls": client,
            "listen-peer-urls": peer,
            "initial-advertise-peer-urls": peer,
            "initial-cluster": f"test={peer}",
        }
        return [str(self.assets.etcd), *_flags(options)]

    def _server_argv(self) -> list[str]:
        options = {
            "etcd-servers": f"http://127.0.0.1:{self._etcd_port}",
            "bind-address": self.address,
            "secure-port": self._port,
            # It would look for a default route otherwise, which the lab kernel has not.
            "advertise-address": self.address,
            "endpoint-reconciler-type": "none",
            "cert-dir": self.folder,
            "tls-cert-file": self._serving.certificate,
            "tls-private-key-file": self._serving.key,
            "client-ca-file": self.authority,
            "token-auth-file": self.folder / "tokens.csv",
            "authorization-mode": "RBAC",
            "service-account-issuer": "https://kubernetes.default.svc",
            "service-account-key-file": self._signing_key,
            "service-account-signing-key-file": self._signing_key,
            # Its ServiceAccounts are made by a controller that does not run here.
            "disable-admission-plugins": "ServiceAccount",
            "service-cluster-ip-range": "10.96.0.0/12",
            # Every Service of type LoadBalancer takes a node port: the default range holds 2,768 of them.
            "service-node-port-range": "1024-65535",
        }
        return [str(self.assets.kube_apiserver), *_flags(options), *self._flags]


class _Program:
    """A program that can be started again and again; its output goes to ``FOLDER/NAME.log``."""

    def __init__(self, name: str, folder: Path, argv: Sequence[str]) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._argv = argv
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        # etcd 3.4 wants to be told that it may run on other architectures than amd64.
        environment = {**os.environ, "ETCD_UNSUPPORTED_ARCH": "arm64"}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *self._argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
            )

    def stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def wait_stopped(self) -> None:
        """Until each of its threads stands still, which the one that got the signal sees to."""
        assert self._process is not None
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED)

    def tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])


def _wait(is_ready: Callable[[], bool], within_s: float, programs: Sequence[_Program]) -> None:
    deadline_s = time.monotonic() + within_s
    while not is_ready():
        for program in programs:
            assert program.running, f"{program.name} ended:\n{program.tail()}"
        said = "\n".join(f"{program.name}:\n{program.tail()}" for program in programs)
        assert time.monotonic() < deadline_s, f"not ready within {within_s:g} s\n{said}"
        time.sleep(POLL_S)


def _flags(options: Mapping[str, object]) -> list[str]:
    return [f"--{name}={value}" for name, value in options.items()]


def _free_port(address: str) -> int:
    with socket.socket() as probe:
        probe.bind((address, 0))
        port: int = probe.getsockname()[1]
        return port
