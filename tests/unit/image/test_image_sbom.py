"""The list of what is in the image: complete, the same for the same image, and readable by programs."""

from image.sbom import Package, debian_packages, listing, python_packages, spdx

STATUS = """Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.41-12+deb13u1
Description: GNU C Library
 Package: not-a-package

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1
"""
LIBC = Package("deb", "libc6", "2.41-12+deb13u1", "amd64")
CLICK = Package("pypi", "click", "8.5.1", sha256="ab" * 32)


def test_only_installed_packages_count() -> None:
    assert list(debian_packages(STATUS)) == [LIBC]


def test_the_wheelhouse_names_its_packages_with_their_hashes() -> None:
    assert list(python_packages(f"click==8.5.1 --hash=sha256:{'ab' * 32}\n")) == [CLICK]


def test_a_package_has_a_url_that_scanners_know() -> None:
    assert LIBC.url == "pkg:deb/debian/libc6@2.41-12%2Bdeb13u1?arch=amd64"
    assert CLICK.url == "pkg:pypi/click@8.5.1"


def test_the_document_is_the_same_in_whatever_order_packages_come() -> None:
    assert spdx("image", [LIBC, CLICK], 0) == spdx("image", [CLICK, LIBC], 0)
    assert listing([CLICK, LIBC]) == "deb libc6 2.41-12+deb13u1\npypi click 8.5.1\n"


def test_the_document_describes_each_package_once_and_has_its_time_from_outside() -> None:
    document = spdx("image", [LIBC, CLICK], 0)
    assert document["spdxVersion"] == "SPDX-2.3"
    assert document["creationInfo"] == {"created": "1970-01-01T00:00:00Z", "creators": ["Tool: image.sbom"]}
    packages, relationships = document["packages"], document["relationships"]
    assert isinstance(packages, list)
    assert isinstance(relationships, list)
    assert [each["SPDXID"] for each in packages] == [each["relatedSpdxElement"] for each in relationships]
    assert [each["name"] for each in packages] == ["libc6", "click"]
