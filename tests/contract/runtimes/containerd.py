"""containerd and runc from Debian, on their own folders and socket, with an image made on the spot of a static busybox.

Pods are made through the runtime's own interface, as a kubelet makes them. Their network is a namespace with nothing in
it but what a CNI plugin of three lines says.
"""

import hashlib
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import grpc

IMAGE = "localhost/busybox:1"
READY_S, CALL_S = 20.0, 30.0
# Every namespace of containers that a kubelet makes is in this one of containerd.
_NAMESPACE = "k8s.io"
_PLUGIN = """\
#!/bin/sh
case $CNI_COMMAND in
VERSION) echo '{"cniVersion":"0.4.0","supportedVersions":["0.3.1","0.4.0"]}' ;;
ADD) printf '{"cniVersion":"0.3.1","interfaces":[{"name":"eth0","sandbox":"%s"}],' "$CNI_NETNS"
  printf '"ips":[{"version":"4","address":"10.99.0.2/24","interface":0}]}' ;;
esac
"""
_CONFIG = """\
version = 2
root = "{folder}/root"
state = "{folder}/state"
disabled_plugins = ["io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing"]
[grpc]
  address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{image}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "native"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{folder}/cni-bin"
    conf_dir = "{folder}/cni-conf"
"""

Fields = Mapping[int, Any]


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A pod's sandbox, and the id of its one container."""

    id: str
    config: Fields
    container: str


class Containerd:
    """A containerd of our own. A context manager: every pod and process that it made is gone afterwards."""

    def __init__(self) -> None:
        # Short: a unix socket's path has 107 bytes, and the shims' lie below it.
        self.folder = Path(tempfile.mkdtemp(prefix="bc-"))
        self.socket = self.folder / "containerd.sock"
        self._sandboxes: list[str] = []
        self._log = (self.folder / "containerd.log").open("wb")
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        for name in ("root", "state", "cni-bin", "cni-conf"):
            (self.folder / name).mkdir()
        for name in ("bare", "loopback"):
            plugin = self.folder / "cni-bin" / name
            plugin.write_text(_PLUGIN)
            plugin.chmod(0o755)
        network = {"cniVersion": "0.3.1", "name": "bare", "plugins": [{"type": "bare"}]}
        (self.folder / "cni-conf/10-bare.conflist").write_text(json.dumps(network))
        config = _CONFIG.format(folder=self.folder, socket=self.socket, image=IMAGE)
        (self.folder / "config.toml").write_text(config)
        self.start()
        archive = make_image(self.folder)
        ctr = ["ctr", "-a", str(self.socket), "-n", _NAMESPACE, "images", "import", "--snapshotter", "native"]
        subprocess.run([*ctr, str(archive)], check=True, capture_output=True, timeout=60)
        return self

    def __exit__(self, *_: object) -> None:
        for sandbox in self._sandboxes:
            self.remove(sandbox)
        self.stop()
        self._log.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> None:
        """Start the daemon, and wait until it answers."""
        command = ["containerd", "--config", str(self.folder / "config.toml")]
        self._process = subprocess.Popen(command, stdout=self._log, stderr=subprocess.STDOUT)
        deadline_s = time.monotonic() + READY_S
        while not self._answers():
            assert time.monotonic() < deadline_s, (self.folder / "containerd.log").read_text()

    def _answers(self) -> bool:
        try:
            self.call("Status", {}, within_s=1)
        except grpc.RpcError:
            return False
        return True

    def stop(self) -> None:
        """Stop the daemon; containers go on."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)
            self._process = None

    def run_pod(self, name: str) -> Sandbox:
        """A pod with one container that sleeps."""
        config = {1: {1: name, 2: f"{name}-uid", 3: "default"}, 3: str(self.folder), 8: {}}
        sandbox = self.call("RunPodSandbox", {1: config}).decode_id()
        self._sandboxes.append(sandbox)
        return Sandbox(sandbox, config, self.run_container(sandbox, config, 0))

    def run_container(self, sandbox: str, config: Fields, attempt: int) -> str:
        """One more container of a pod; returns its id."""
        container = {1: {1: "main", 2: attempt}, 2: {1: IMAGE}, 3: ["/bin/sleep", "3600"]}
        made = self.call("CreateContainer", {1: sandbox, 2: container, 3: config}).decode_id()
        self.call("StartContainer", {1: made})
        return made

    def stop_container(self, container: str) -> None:
        """End a container, as a kubelet does where it is not alive."""
        self.call("StopContainer", {1: container})

    def remove(self, sandbox: str) -> None:
        """Take a pod away."""
        self.call("StopPodSandbox", {1: sandbox})
        self.call("RemovePodSandbox", {1: sandbox})

    def call(self, method: str, request: Fields, *, within_s: float = CALL_S) -> "Reply":
        """One call of the Container Runtime Interface."""
        options = [("grpc.default_authority", "localhost")]
        with grpc.insecure_channel(f"unix://{self.socket}", options=options) as channel:
            ask = channel.unary_unary(f"/runtime.v1.RuntimeService/{method}")
            return Reply(ask(encode(request), timeout=within_s))


class Reply(bytes):
    """An answer."""

    def decode_id(self) -> str:
        """The id that it begins with."""
        return self[2 : 2 + self[1]].decode()


def encode(fields: Fields) -> bytes:
    """Fields by number as protobuf: texts, numbers, messages, and lists of texts."""
    out = b""
    for number, value in fields.items():
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, int):
                out += _varint(number << 3) + _varint(each)
            else:
                payload = each.encode() if isinstance(each, str) else encode(each)
                out += _varint(number << 3 | 2) + _varint(len(payload)) + payload
    return out


def make_image(folder: Path) -> Path:
    """An image with a static busybox and nothing else, as an archive that ctr imports."""
    root = folder / "image/root/bin"
    root.mkdir(parents=True)
    shutil.copy("/bin/busybox", root / "busybox")
    for name in ("sh", "sleep"):
        (root / name).symlink_to("busybox")
    layer = folder / "image/layer.tar"
    with tarfile.open(layer, "w") as archive:
        archive.add(root.parent, arcname=".")
    config = {
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine],
        "os": "linux",
        "config": {"Cmd": ["/bin/sleep", "3600"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer.read_bytes()).hexdigest()}"]},
    }
    (folder / "image/config.json").write_text(json.dumps(config))
    manifest = [{"Config": "config.json", "RepoTags": [IMAGE], "Layers": ["layer.tar"]}]
    (folder / "image/manifest.json").write_text(json.dumps(manifest))
    whole = folder / "image.tar"
    with tarfile.open(whole, "w") as archive:
        for name in ("manifest.json", "config.json", "layer.tar"):
            archive.add(folder / "image" / name, arcname=name)
    return whole


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
