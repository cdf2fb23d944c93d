"""What it costs to decode the backends of 2,000 Services: our decoder against the model classes of the client.

Alone: ``python -m tests.bench.kube_decode``. It needs no lab.
"""

import gc
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence

import msgspec
from kubernetes.client import ApiClient

from appliance.sources.kubernetes.api import ENDPOINT_SLICES
from appliance.sources.kubernetes.wire import Reader, page
from tests.bench.figures import Report

SLICES = 2000
BACKENDS = 10
PAGE_OBJECTS = 500
ROUNDS = 3
RATIO_WANTED = 10


def measure(report: Report) -> None:
    """Decode the same pages both ways: time, and the memory that the outcome holds."""
    pages = list(bodies())
    report.add("list of 2,000 slices x 10 as JSON", sum(map(len, pages)) / 1e6, "MB")
    client = ApiClient()
    ways: dict[str, Callable[[Sequence[bytes]], object]] = {
        "ours": lambda some: [ours(body) for body in some],
        "the client's model classes": lambda some: [
            client.deserialize(body.decode(), "V1EndpointSliceList", "application/json") for body in some
        ],
    }
    seconds = {
        name: report.add_median(f"decode 20,000 endpoints, {name}", [timed(way, pages) for _ in range(ROUNDS)])
        for name, way in ways.items()
    }
    # Looking at every allocation is very slow in the lab kernel: one page stands for all.
    megabytes = {name: held_mb(way, pages[:1]) * len(pages) for name, way in ways.items()}
    for name, held in megabytes.items():
        report.add(f"memory that 20,000 endpoints hold, {name}", held, "MB")
    own, theirs = ways
    report.add("  how many times faster", seconds[theirs] / seconds[own], "x", least=RATIO_WANTED)
    report.add("  how many times smaller", megabytes[theirs] / megabytes[own], "x", least=RATIO_WANTED)


def ours(body: bytes) -> list[object]:
    """One page of a list, decoded as the source does it."""
    reader = Reader()
    return [reader.item(ENDPOINT_SLICES, text, {}) for text in page(body).objects]


def timed(way: Callable[[Sequence[bytes]], object], pages: Sequence[bytes]) -> float:
    """Seconds for decoding once; what was decoded is thrown away after the clock has stopped."""
    gc.collect()
    started_s = time.perf_counter()
    kept = way(pages)
    elapsed_s = time.perf_counter() - started_s
    del kept
    return elapsed_s


def held_mb(way: Callable[[Sequence[bytes]], object], pages: Sequence[bytes]) -> float:
    """What the decoded objects hold, in MB of 1,000,000 bytes, by Python's own allocator."""
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        kept = way(pages)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
        del kept
    finally:
        tracemalloc.stop()
    return (after - before) / 1e6


def bodies() -> Iterator[bytes]:
    """The pages of a list as an API server sends it, with everything that its controllers write into a slice."""
    slices = [endpoint_slice(number) for number in range(SLICES)]
    for first in range(0, SLICES, PAGE_OBJECTS):
        following = str(first) if first + PAGE_OBJECTS < SLICES else ""
        yield msgspec.json.encode(
            {
                "kind": "EndpointSliceList",
                "apiVersion": "discovery.k8s.io/v1",
                "metadata": {"resourceVersion": "1234567", "continue": following},
                "items": slices[first : first + PAGE_OBJECTS],
            }
        )


def endpoint_slice(number: int) -> dict[str, object]:
    """One slice."""
    name = f"web-{number}"
    owner = {
        "apiVersion": "v1",
        "kind": "Service",
        "name": name,
        "uid": f"6f7c1c8e-0000-4000-8000-{number:012}",
        "controller": True,
        "blockOwnerDeletion": True,
    }
    fields: dict[str, object] = {
        "f:addressType": {},
        "f:endpoints": {},
        "f:metadata": {"f:labels": {".": {}}},
        "f:ports": {},
    }
    return {
        "metadata": {
            "name": f"{name}-abcde",
            "generateName": f"{name}-",
            "namespace": "default",
            "uid": f"1b0e4c1c-0000-4000-8000-{number:012}",
            "resourceVersion": str(100_000 + number),
            "generation": 7,
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {
                "app.kubernetes.io/name": name,
                "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
                "kubernetes.io/service-name": name,
            },
            "annotations": {"endpoints.kubernetes.io/last-change-trigger-time": "2026-01-01T00:00:00Z"},
            "ownerReferences": [owner],
            "managedFields": [
                {
                    "manager": "kube-controller-manager",
                    "operation": "Update",
                    "apiVersion": "discovery.k8s.io/v1",
                    "time": "2026-01-01T00:00:00Z",
                    "fieldsType": "FieldsV1",
                    "fieldsV1": fields,
                }
            ],
        },
        "addressType": "IPv4",
        "endpoints": [endpoint(number * BACKENDS + each) for each in range(BACKENDS)],
        "ports": [{"name": "http", "port": 80, "protocol": "TCP"}],
    }


def endpoint(number: int) -> dict[str, object]:
    """One endpoint of a slice."""
    address = f"10.{1 + number // 60000}.{number // 240 % 250}.{number % 240 + 1}"
    pod = f"web-5d4f8c7b9d-{number:05}"
    return {
        "addresses": [address],
        "conditions": {"ready": True, "serving": True, "terminating": False},
        "nodeName": f"worker-{number % 50}",
        "zone": f"zone-{number % 3}",
        "targetRef": {
            "kind": "Pod",
            "namespace": "default",
            "name": pod,
            "uid": f"9d3e2c1c-0000-4000-8000-{number:012}",
        },
    }


if __name__ == "__main__":
    measured = Report()
    measure(measured)
    print(measured.table())
