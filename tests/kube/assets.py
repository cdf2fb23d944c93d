"""The programs of a real API server for tests: kube-apiserver and etcd. ``python -m tests.kube.assets`` makes them.

They are taken from the folder that ``KUBEBUILDER_ASSETS`` names, as everywhere in the ecosystem. Where it is not set
they are made once, in a cache outside the tree, from Debian bookworm alone: its source package ``kubernetes`` is the
last one that holds the API server, its Go is one that still builds it, and nothing is installed. apt checks signature
and checksum of all that it fetches.
"""

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from image.debian import cache, run
from tests.lab.archive import private_apt

SUITE = "bookworm"
SOURCE = "kubernetes"
GO = "1.19"
PACKAGES = (f"golang-{GO}-go", f"golang-{GO}-src", "etcd-server")
PROGRAMS = ("kube-apiserver", "etcd")
# The Go packages of kube-apiserver with the standard library, for a progress line that means something.
GO_PACKAGES = 1540
PROGRESS_S = 15.0
OPENAPI_TAG = re.compile(rb"^// *\+k8s:openapi-gen=true", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Assets:
    """Where the two programs lie, and which version the API server says it is (``v1.20.2``)."""

    kube_apiserver: Path
    etcd: Path
    version: str


def find() -> Assets:
    """The programs, made or downloaded earlier.

    Raises:
        RuntimeError: they are not there.
    """
    named = os.environ.get("KUBEBUILDER_ASSETS")
    folder = Path(named) if named else _cached()
    missing = [name for name in PROGRAMS if not (folder / name).exists()]
    if missing:
        remedy = "see KUBEBUILDER_ASSETS" if named else "run `make kube` first"
        raise RuntimeError(f"{' and '.join(missing)} not in {folder}: {remedy}")
    return Assets(folder / PROGRAMS[0], folder / PROGRAMS[1], _version_of(folder / PROGRAMS[0]))


def make() -> Assets:
    """Make what is missing. Idempotent, and safe to run twice at once: the second one waits for the first.

    Raises:
        RuntimeError: the archive cannot be reached, what it holds does not build, or KUBEBUILDER_ASSETS names a folder
            without the programs.
    """
    if "KUBEBUILDER_ASSETS" not in os.environ:
        _cache().mkdir(parents=True, exist_ok=True)
        with (_cache() / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not _cached().exists():
                _make_in_cache()
    return find()


def _cache() -> Path:
    return cache() / "kube"


def _cached() -> Path:
    """The finished programs: a folder that exists only whole."""
    return _cache() / SUITE


def _make_in_cache() -> None:
    with tempfile.TemporaryDirectory(dir=_cache(), prefix="build-") as folder:
        work = Path(folder)
        _fetch(work)
        _unpack(work)
        done = work / "done"
        done.mkdir()
        shutil.copy(work / "root/usr/bin/etcd", done)
        _generate_openapi(work)
        _go(work, "build", "-v", *_version_flags(work), "-o", str(done), f"{_IMPORT}/cmd/kube-apiserver")
        done.rename(_cached())


def _fetch(work: Path) -> None:
    _say(f"reading the package lists of Debian {SUITE}")
    apt = private_apt(work, SUITE)
    sources = work / "sources.list"
    sources.write_text(sources.read_text() + sources.read_text().replace("deb ", "deb-src ", 1))
    run(["apt-get", *apt, "update", "-qq"], work)
    _say(f"downloading the source of {SOURCE} and {', '.join(PACKAGES)}: 125 MB")
    run(["apt-get", *apt, "source", "-qq", "--download-only", SOURCE], work)
    run(["apt-get", *apt, "download", "-qq", *PACKAGES], work)


_IMPORT = "k8s.io/kubernetes"


def _tree(work: Path) -> Path:
    return work / "gopath/src" / _IMPORT


def _unpack(work: Path) -> None:
    """Unpack the packages, and the source to where GOPATH wants it. Debian's own patches are kubectl's alone."""
    _say("unpacking")
    for archive in sorted(work.glob("*.deb")):
        run(["dpkg-deb", "-x", str(archive), str(work / "root")], work)
    (source,) = work.glob("*.orig.tar.gz")
    _tree(work).mkdir(parents=True)
    run(["tar", "-xf", str(source), "-C", str(_tree(work)), "--strip-components=1"], work)


def _generate_openapi(work: Path) -> None:
    """Generate the one package that Debian's source lacks (in upstream's tree Makefile.generated_files makes it)."""
    _say("generating the OpenAPI definitions")
    generator = work / "openapi-gen"
    _go(work, "build", "-o", str(generator), f"{_IMPORT}/vendor/k8s.io/kube-openapi/cmd/openapi-gen")
    target = f"{_IMPORT}/pkg/generated/openapi"
    boilerplate = _tree(work) / "hack/boilerplate/boilerplate.generatego.txt"
    options = ("-O", "zz_generated.openapi", "-p", target, "-h", str(boilerplate), "-r", str(work / "violations"))
    _run([str(generator), *options, "-i", ",".join(_openapi_packages(_tree(work)))], work)


def _openapi_packages(tree: Path) -> list[str]:
    """The import path of every package that asks for a definition; staging is seen through links in vendor."""
    staging = tree / "staging/src"
    folders = {file.parent for top in (tree / "pkg/apis", staging) for file in top.rglob("*.go") if _is_tagged(file)}
    return sorted(
        f"{_IMPORT}/vendor/{folder.relative_to(staging)}"
        if folder.is_relative_to(staging)
        else f"{_IMPORT}/{folder.relative_to(tree)}"
        for folder in folders
        if "_examples" not in folder.parts
    )


def _is_tagged(file: Path) -> bool:
    return OPENAPI_TAG.search(file.read_bytes()) is not None


def _version_flags(work: Path) -> tuple[str, ...]:
    """Without them the server would call itself v0.0.0-master: by one package on the command line, by one in HTTP."""
    (source,) = work.glob("*.orig.tar.gz")
    found = re.search(r"really(\d+)\.(\d+)\.(\d+)\.orig", source.name)
    if found is None:
        raise RuntimeError(f"{source.name} has no version that is understood")
    major, minor, patch = found.groups()
    values = {"gitVersion": f"v{major}.{minor}.{patch}", "gitMajor": major, "gitMinor": minor}
    packages = [f"{_IMPORT}/vendor/k8s.io/{name}" for name in ("component-base/version", "client-go/pkg/version")]
    flags = " ".join(f"-X {package}.{name}={value}" for package in packages for name, value in values.items())
    return ("-trimpath", "-ldflags", f"-s -w {flags}")


def _go(work: Path, *arguments: str) -> None:
    _run([str(work / f"root/usr/lib/go-{GO}/bin/go"), *arguments], work)


def _run(argv: list[str], work: Path) -> None:
    """Run a step of the build in the tree, at the lowest priority, with a line of progress now and then.

    Raises:
        RuntimeError: it failed; the text ends with what it said last.
    """
    environment: Mapping[str, str] = {
        "PATH": os.environ.get("PATH", ""),
        "HOME": str(work),
        "GOROOT": str(work / f"root/usr/lib/go-{GO}"),
        "GOPATH": str(work / "gopath"),
        "GOCACHE": str(work / "gocache"),
        "GO111MODULE": "off",
        "GOPROXY": "off",
        "CGO_ENABLED": "0",
    }
    with subprocess.Popen(
        ["nice", "-n", "19", *argv],
        cwd=_tree(work),
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        lines, shown = [], time.monotonic()
        for line in process.stderr:
            lines.append(line)
            if time.monotonic() - shown > PROGRESS_S:
                shown = time.monotonic()
                _say(f"building, {len(lines)} of about {GO_PACKAGES} packages")
    if process.returncode != 0:
        raise RuntimeError(f"{Path(argv[0]).name} failed ({process.returncode}): {''.join(lines[-20:]).strip()}")


def _version_of(program: Path) -> str:
    """What ``kube-apiserver --version`` says: ``Kubernetes v1.20.2``."""
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"v\d+\.\d+\.\d+\S*", done.stdout)
    if found is None:
        raise RuntimeError(f"{program} does not run: {(done.stderr or done.stdout).strip()}")
    return found[0]


def _say(text: str) -> None:
    print(f"kube: {text}", flush=True)


if __name__ == "__main__":
    try:
        started = time.monotonic()
        assets = make()
    except RuntimeError as error:
        sys.exit(f"kube: {error}")
    _say(f"{assets.kube_apiserver} is {assets.version} ({time.monotonic() - started:.0f} s)")
