"""The file source on real directories and real inotify."""

import asyncio
import errno
import os
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from appliance.errors import SourceError
from appliance.model.desired import ServiceDefaults, Snapshot
from appliance.sources.file import MAX_FILE_BYTES, FileSource, Known, check_directory, read_directory
from appliance.sources.native import SERVICE_KEYS

DEADLINE_S = 10
DEFAULTS = ServiceDefaults()


def service(number: int) -> str:
    return f"vip: 10.50.0.{number}\nports: [80]\nbackends: [10.1.0.1]\n"


def vips(snapshot: Snapshot | SourceError) -> list[str]:
    assert isinstance(snapshot, Snapshot), snapshot
    return [str(one.key.vip) for one in snapshot.services]


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def put(path: Path, text: str) -> None:
    """Write beside it and rename into place, as the user guide tells people to."""
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(text)
    beside.rename(path)


class Reader:
    """What a director sees of a source, item by item, each within the deadline."""

    def __init__(self, source: FileSource) -> None:
        self.source = source
        self._items: AsyncIterator[Snapshot | SourceError] = source.snapshots()

    async def next(self) -> Snapshot | SourceError:
        async with asyncio.timeout(DEADLINE_S):
            return await anext(self._items)

    async def until(self, wanted: list[str]) -> int:
        """Read until a snapshot has exactly these VIPs; says how many items that took."""
        count = 0
        async with asyncio.timeout(DEADLINE_S):
            while True:
                count += 1
                item = await anext(self._items)
                if isinstance(item, Snapshot) and vips(item) == wanted:
                    return count


@asynccontextmanager
async def reading(path: Path) -> AsyncIterator[Reader]:
    source = FileSource(path, DEFAULTS, debounce_s=0.05)
    reader = Reader(source)
    try:
        yield reader
    finally:
        await reader._items.aclose()  # type: ignore[attr-defined]  # it is a generator, typed as what it promises


def run(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


def test_all_manifests_of_a_directory_make_one_snapshot_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name, number in {"b.yaml": 2, "a.yml": 1, "c.json": 3}.items():
        (tmp_path / name).write_text(service(number))
    for name in (".hidden.yaml", "a.yaml~", "#a.yaml#", "README.md", "a.yaml.swp"):
        (tmp_path / name).write_text("{")
    (tmp_path / "folder.yaml").mkdir()
    assert vips(read_directory(tmp_path, DEFAULTS)) == ["10.50.0.1", "10.50.0.2", "10.50.0.3"]


def test_a_service_finds_its_slice_in_another_file(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4, ports: [{port: 80}],"
        " metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}, endpoints: [{addresses: [10.1.0.1]}]}"
    )
    (tmp_path / "b.yaml").write_text(
        "{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {type: LoadBalancer, loadBalancerIP: 10.50.0.1,"
        " ports: [{port: 80}, {port: 1, targetPort: 2, name: b}]}}"
    )
    snapshot = read_directory(tmp_path, DEFAULTS)
    assert [(str(one.key), one.ready) for one in snapshot.services] == [("tcp/10.50.0.1:80", 1)]
    assert [problem.where for problem in snapshot.problems] == ["b.yaml:1: service default/web: port 1"]


def test_i3_one_mistake_in_one_file_spoils_the_whole_set_and_all_mistakes_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(service(1))
    (tmp_path / "b.yaml").write_text(service(2) + "colour: red\n")
    (tmp_path / "c.yaml").write_text("")
    (tmp_path / "d.yaml").symlink_to("nowhere.yaml")
    (tmp_path / "e.yaml").write_bytes(b"vip: 1\n\xff\n")
    with pytest.raises(SourceError) as caught:
        read_directory(tmp_path, DEFAULTS)
    assert str(caught.value).splitlines() == [
        f"b.yaml:4: colour: unknown key (the keys here are {', '.join(SERVICE_KEYS)})",
        "c.yaml:1: the file says nothing (remove the file, or write services: [] to say so on purpose)",
        "d.yaml:1: cannot be read: No such file or directory (make it readable, or remove it)",
        "e.yaml:2: byte 0xff is not UTF-8 (save it as UTF-8)",
    ]


def test_i3_a_missing_an_empty_and_a_false_directory_are_silence_and_services_empty_is_not(tmp_path: Path) -> None:
    false = tmp_path / "file"
    false.touch()
    empty = tmp_path / "empty"
    empty.mkdir()
    for path in (tmp_path / "missing", false, empty):
        with pytest.raises(SourceError, match=r"services: \[\]"):
            read_directory(path, DEFAULTS)
    (empty / "nothing.yaml").write_text("services: []\n")
    assert read_directory(empty, DEFAULTS) == Snapshot(str(empty))


@pytest.mark.parametrize(
    "document",
    [
        pytest.param("{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}", id="another kind"),
        pytest.param("{apiVersion: v1, kind: List, items: []}", id="an empty list"),
        pytest.param("{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {type: ClusterIP}}", id="no balancer"),
        pytest.param("{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {type: LoadBalancer}}", id="no VIP"),
        pytest.param("{apiVersion: v1, kind: Endpoints, metadata: {name: a}, subsets: []}", id="no Service"),
    ],
)
def test_i3_a_directory_that_names_no_vip_is_silence(tmp_path: Path, document: str) -> None:
    (tmp_path / "a.yaml").write_text(document)
    with pytest.raises(SourceError, match=r"no file in it names a VIP.*services: \[\]"):
        read_directory(tmp_path, DEFAULTS)
    (tmp_path / "b.yaml").write_text("services: []\n")
    assert not read_directory(tmp_path, DEFAULTS).services


def test_a_file_without_end_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "a.yaml").open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(SourceError, match=f"a.yaml:1: larger than {MAX_FILE_BYTES} bytes"):
        read_directory(tmp_path, DEFAULTS)


def test_check_tells_mistakes_pools_and_duplicates_by_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(f"name: web\n{service(1)}---\nname: web2\n{service(1)}---\nvip: 10.9.9.9/8\n")
    (tmp_path / "b.yaml").write_text("vip: [10.50.0.2,\n  10.60.0.1]\nports: [80]\nbackends: []\n")
    pools = (ip_network("10.50.0.0/24"),)
    assert [str(problem) for problem in check_directory(tmp_path, DEFAULTS, pools)] == [
        "a.yaml:7: vip: tcp/10.50.0.1:80 is already taken by web at a.yaml:2 (give one of the two another port or VIP)",
        "a.yaml:11: ports: missing (add ports to this service)",
        "a.yaml:11: backends: missing (add backends to this service)",
        "a.yaml:11: vip: 10.9.9.9/8 is a network; a VIP is one address (write 10.9.9.9)",
        (
            "b.yaml:2: vip: 10.60.0.1 is outside the pools of this node "
            "(take an address in 10.50.0.0/24, or add its network to pools in appliance.yaml)"
        ),
    ]
    assert len(check_directory(tmp_path / "missing", DEFAULTS, pools)) == 1


def test_a_file_renamed_into_place_is_noticed_and_so_is_its_removal(tmp_path: Path) -> None:
    async def story() -> None:
        put(tmp_path / "a.yaml", service(1))
        async with reading(tmp_path) as reader:
            assert vips(await reader.next()) == ["10.50.0.1"]
            put(tmp_path / "b.yaml", service(2))
            await reader.until(["10.50.0.1", "10.50.0.2"])
            (tmp_path / "a.yaml").unlink()
            await reader.until(["10.50.0.2"])

    run(story())


def test_i3_a_broken_file_is_an_error_not_an_empty_set_and_its_repair_is_taken(tmp_path: Path) -> None:
    async def story() -> None:
        put(tmp_path / "a.yaml", service(1))
        async with reading(tmp_path) as reader:
            assert vips(await reader.next()) == ["10.50.0.1"]
            put(tmp_path / "a.yaml", "vip: [\n")
            error = await reader.next()
            assert isinstance(error, SourceError)
            assert "a.yaml:2: not YAML" in str(error)
            put(tmp_path / "a.yaml", service(1))
            assert vips(await reader.next()) == ["10.50.0.1"]

    run(story())


def test_a_change_that_makes_no_difference_yields_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        put(tmp_path / "a.yaml", service(1))
        async with reading(tmp_path) as reader:
            await reader.next()
            put(tmp_path / "a.yaml", f"# a comment\n{service(1)}")
            following = asyncio.ensure_future(reader.next())
            async with asyncio.timeout(DEADLINE_S):
                while reader.source.readings < 2:  # noqa: ASYNC110 - a count of readings is no event
                    await asyncio.sleep(0)
            put(tmp_path / "a.yaml", service(2))
            assert vips(await following) == ["10.50.0.2"]

    run(story())


def test_a_config_map_that_swaps_its_data_link_is_noticed(tmp_path: Path) -> None:
    """The kubelet writes a new hidden folder and renames a link over ..data; the visible links never change."""

    def swap(number: int) -> None:
        folder = tmp_path / f"..{number}"
        folder.mkdir()
        (folder / "a.yaml").write_text(service(number))
        (tmp_path / "..data_tmp").symlink_to(folder.name)
        (tmp_path / "..data_tmp").rename(tmp_path / "..data")

    async def story() -> None:
        swap(1)
        (tmp_path / "a.yaml").symlink_to("..data/a.yaml")
        async with reading(tmp_path) as reader:
            assert vips(await reader.next()) == ["10.50.0.1"]
            swap(2)
            await reader.until(["10.50.0.2"])

    run(story())


def test_i3_a_directory_that_goes_is_silence_and_is_found_again_when_it_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "etc" / "services"

    def make(number: int) -> None:
        path.mkdir(parents=True)
        put(path / "a.yaml", service(number))

    async def story() -> None:
        async with reading(path) as reader:
            assert isinstance(await reader.next(), SourceError)
            make(1)
            await reader.until(["10.50.0.1"])
            (path / "a.yaml").unlink()
            path.rmdir()
            path.parent.rmdir()
            assert isinstance(await reader.next(), SourceError)
            make(2)
            await reader.until(["10.50.0.2"])
            path.parent.rename(tmp_path / "away")
            assert isinstance(await reader.next(), SourceError)
            make(3)
            await reader.until(["10.50.0.3"])
            put(path / "a.yaml", service(4))
            await reader.until(["10.50.0.4"])

    run(story())


def test_a_link_to_another_directory_is_followed_when_it_is_replaced(tmp_path: Path) -> None:
    async def story() -> None:
        for number in (1, 2):
            (tmp_path / f"release{number}").mkdir()
            put(tmp_path / f"release{number}" / "a.yaml", service(number))
        (tmp_path / "current").symlink_to("release1")
        async with reading(tmp_path / "current") as reader:
            assert vips(await reader.next()) == ["10.50.0.1"]
            (tmp_path / "next").symlink_to("release2")
            (tmp_path / "next").rename(tmp_path / "current")
            await reader.until(["10.50.0.2"])

    run(story())


def test_two_hundred_writes_at_once_are_read_a_few_times(tmp_path: Path) -> None:
    async def story() -> None:
        put(tmp_path / "a.yaml", service(1))
        async with reading(tmp_path) as reader:
            await reader.next()
            for number in range(2, 202):
                (tmp_path / f"s{number:03}.yaml").write_text(service(number))
            await reader.until(["10.50.0.1", *(f"10.50.0.{number}" for number in range(2, 202))])
            assert reader.source.readings <= 5

    run(story())


def test_a_file_that_is_written_in_pieces_is_not_taken_half(tmp_path: Path) -> None:
    async def story() -> None:
        put(tmp_path / "a.yaml", service(1))
        async with reading(tmp_path) as reader:
            await reader.next()
            with (tmp_path / "b.yaml").open("w") as file:
                for line in service(2).splitlines(keepends=True):
                    file.write(line)
                    file.flush()
                    await asyncio.sleep(0)
            assert vips(await reader.next()) == ["10.50.0.1", "10.50.0.2"]

    run(story())


def test_a_source_that_is_closed_leaves_no_file_descriptor(tmp_path: Path) -> None:
    async def story() -> None:
        put(tmp_path / "a.yaml", service(1))
        before = open_files()
        async with reading(tmp_path) as reader:
            await reader.next()
            put(tmp_path / "a.yaml", service(2))
            await reader.next()
        assert open_files() == before

    run(story())


def test_a_directory_that_could_not_be_read_is_read_again_although_nothing_in_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where descriptors run out for a moment: no event says that they are back."""
    (tmp_path / "web.yaml").write_text(service(1))
    scandir, scarce = os.scandir, iter([OSError(errno.EMFILE, "Too many open files")])

    def scan(path: Path) -> object:
        for error in scarce:
            raise error
        return scandir(path)

    monkeypatch.setattr(os, "scandir", scan)

    async def story() -> None:
        async with reading(tmp_path) as reader:
            assert isinstance(await reader.next(), SourceError)
            await reader.until(["10.50.0.1"])

    run(story())


def settled(path: Path, known: dict[str, Known], *names: str) -> None:
    """Read until these files are old enough to be known by their times."""
    deadline_s = time.monotonic() + DEADLINE_S
    while not known.keys() >= set(names):
        assert time.monotonic() < deadline_s
        read_directory(path, DEFAULTS, known)


def test_only_files_that_have_changed_are_read_again(tmp_path: Path) -> None:
    known: dict[str, Known] = {}
    for number, name in enumerate(("a.yaml", "b.yaml", "c.yaml"), start=1):
        (tmp_path / name).write_text(service(number))
    settled(tmp_path, known, "a.yaml", "b.yaml", "c.yaml")
    before = dict(known)
    (tmp_path / "b.yaml").write_text(service(5))  # of the same length, in the same place
    (tmp_path / "c.yaml").unlink()
    assert vips(read_directory(tmp_path, DEFAULTS, known)) == ["10.50.0.1", "10.50.0.5"]
    settled(tmp_path, known, "b.yaml")
    assert known["a.yaml"] is before["a.yaml"]
    assert known["b.yaml"] != before["b.yaml"]
    assert "c.yaml" not in known


def test_a_file_that_changes_again_and_again_within_one_tick_of_its_times_is_always_read(tmp_path: Path) -> None:
    known: dict[str, Known] = {}
    for number in range(1, 200):
        (tmp_path / "a.yaml").write_text(service(number))
        assert vips(read_directory(tmp_path, DEFAULTS, known)) == [f"10.50.0.{number}"]


def test_a_mistake_in_a_file_that_does_not_change_is_told_with_every_reading(tmp_path: Path) -> None:
    known: dict[str, Known] = {}
    (tmp_path / "a.yaml").write_text("vip: nonsense\n")
    deadline_s = time.monotonic() + DEADLINE_S
    while "a.yaml" not in known:
        assert time.monotonic() < deadline_s
        with pytest.raises(SourceError, match="nonsense"):
            read_directory(tmp_path, DEFAULTS, known)
    with pytest.raises(SourceError, match="nonsense"):
        read_directory(tmp_path, DEFAULTS, known)


def test_a_service_that_stays_as_it_is_is_handed_on_as_the_same_object(tmp_path: Path) -> None:
    """What follows looks at objects that are new, not at values."""
    (tmp_path / "web.yaml").write_text("\n---\n".join(map(service, (1, 2))))

    async def story() -> None:
        async with reading(tmp_path) as reader:
            first = await reader.next()
            put(tmp_path / "web.yaml", "\n---\n".join(map(service, (1, 3))))
            second = await reader.next()
        assert vips(second) == ["10.50.0.1", "10.50.0.3"]
        assert isinstance(first, Snapshot)
        assert isinstance(second, Snapshot)
        assert second.services[0] is first.services[0]

    run(story())
