"""What is in the image, as SPDX 2.3: Debian packages by dpkg's list, Python packages by the wheelhouse's. Pure."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Literal
from urllib.parse import quote

from image.wheelhouse import REQUIREMENT


@dataclass(frozen=True, slots=True, order=True)
class Package:
    """One package: where its kind of name is known (as package URLs call it), name, version, architecture."""

    kind: Literal["deb", "pypi"]
    name: str
    version: str
    architecture: str = ""
    sha256: str = ""

    @property
    def url(self) -> str:
        """The package URL (https://github.com/package-url/purl-spec)."""
        # In it "+" and "~" are written as they are by nobody alike; quoted they mean the same everywhere.
        vendor = "debian/" if self.kind == "deb" else ""
        qualifier = f"?arch={self.architecture}" if self.architecture else ""
        return f"pkg:{self.kind}/{vendor}{quote(self.name)}@{quote(self.version, safe='')}{qualifier}"


def debian_packages(status: str) -> Iterator[Package]:
    """The installed packages in dpkg's status file, whose format is that of deb-control(5)."""
    for stanza in status.split("\n\n"):
        fields = dict(re.findall(r"^(Package|Status|Version|Architecture): (.*)$", stanza, re.MULTILINE))
        if fields.get("Status", "").endswith(" installed"):
            yield Package("deb", fields["Package"], fields["Version"], fields["Architecture"])


def python_packages(requirements: str) -> Iterator[Package]:
    """The packages in a wheelhouse's requirements.txt."""
    for line in requirements.splitlines():
        found = REQUIREMENT.fullmatch(line)
        if found is not None:
            yield Package("pypi", found["name"], found["version"], sha256=found["sha256"])


def listing(packages: Iterable[Package]) -> str:
    """For people and for ``diff``: one package a line."""
    return "".join(f"{each.kind} {each.name} {each.version}\n" for each in sorted(packages))


def spdx(name: str, packages: Iterable[Package], created_s: int) -> Mapping[str, object]:
    """The document, for JSON. The same packages and time make the same document.

    Args:
        name: of the image.
        packages: what it holds.
        created_s: seconds since 1970.
    """
    items = sorted(packages)
    digest = sha256(listing(items).encode()).hexdigest()
    created = datetime.fromtimestamp(created_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": name,
        "documentNamespace": f"https://balanced.demonware.net/spdx/{quote(name)}-{digest}",
        "creationInfo": {"created": created, "creators": ["Tool: image.sbom"]},
        "packages": [_entry(number, each) for number, each in enumerate(items)],
        "relationships": [
            {
                "spdxElementId": "SPDXRef-DOCUMENT",
                "relationshipType": "DESCRIBES",
                "relatedSpdxElement": _identity(number),
            }
            for number in range(len(items))
        ],
    }


def _entry(number: int, package: Package) -> Mapping[str, object]:
    reference = {
        "referenceCategory": "PACKAGE-MANAGER",
        "referenceType": "purl",
        "referenceLocator": package.url,
    }
    checksum = {"checksums": [{"algorithm": "SHA256", "checksumValue": package.sha256}]} if package.sha256 else {}
    return {
        "SPDXID": _identity(number),
        "name": package.name,
        "versionInfo": package.version,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": "NOASSERTION",
        "copyrightText": "NOASSERTION",
        "externalRefs": [reference],
        **checksum,
    }


def _identity(number: int) -> str:
    return f"SPDXRef-Package-{number}"
