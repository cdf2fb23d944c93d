"""A certificate authority for tests, by the machine's openssl: for the API server, its double, and their clients."""

import ssl
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

DAYS = 7
# A name under which a server may be asked for, beside localhost.
HOST = "api.test"
# Python 3.13 asks for the key usage and the key identifiers of every certificate (VERIFY_X509_STRICT).
CONFIG = """[req]
distinguished_name = name
prompt = no
[name]
{name}
[ca]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = IP:{address}, DNS:localhost, DNS:{host}
[client]
basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key, as PEM files."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Authority:
    """Signs certificates; keeps everything in ``folder``."""

    folder: Path
    pair: Pair

    @property
    def certificate(self) -> Path:
        """What a client has to trust."""
        return self.pair.certificate

    def server(self, address: str, name: str = "server") -> Pair:
        """A certificate for a server at this IP address (and at ``localhost`` and HOST)."""
        return _issue(self.folder / name, "server", ["CN = server"], address=address, signer=self.pair)

    def client(self, user: str, groups: Sequence[str] = ()) -> Pair:
        """A certificate that Kubernetes takes for this user (CN) in these groups (O)."""
        # A number before the field's name lets openssl take the same field twice.
        name = [f"CN = {user}", *(f"{place}.O = {group}" for place, group in enumerate(groups))]
        return _issue(self.folder / f"client-{user.replace(':', '-')}", "client", name, signer=self.pair)


def new_authority(folder: Path, name: str = "ca") -> Authority:
    """An authority of its own, with its files in ``folder``."""
    return Authority(folder, _issue(folder / name, "ca", [f"CN = test {name}"]))


def new_key(file: Path) -> Path:
    """A key without a certificate, such as the one that signs ServiceAccount tokens."""
    # In the traditional format: kube-apiserver reads an EC key in PKCS #8 for TLS, but not for ServiceAccounts.
    return _openssl(["ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", str(file)], file)


def serving_context(pair: Pair) -> ssl.SSLContext:
    """What a server in Python needs to serve with this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    return context


def _issue(
    base: Path, section: str, name: Sequence[str], *, address: str = "127.0.0.1", signer: Pair | None = None
) -> Pair:
    pair = Pair(base.with_suffix(".crt"), new_key(base.with_suffix(".key")))
    config = base.with_suffix(".cnf")
    config.write_text(CONFIG.format(name="\n".join(name), address=address, host=HOST))
    argv = ["req", "-x509", "-new", "-config", str(config), "-extensions", section, "-days", str(DAYS)]
    argv += ["-key", str(pair.key), "-out", str(pair.certificate)]
    if signer is not None:
        argv += ["-CA", str(signer.certificate), "-CAkey", str(signer.key)]
    _openssl(argv, pair.certificate)
    return pair


def _openssl(arguments: list[str], made: Path) -> Path:
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"openssl {arguments[0]} failed: {done.stderr.strip()}"
    return made
