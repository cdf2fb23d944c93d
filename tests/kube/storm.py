"""A storm of changes at the API server's double."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.kube.objects import Object, resource_of
from tests.kube.store import Store


@dataclass
class Storm:
    """``sent`` changes so far, since ``began_s``."""

    began_s: float
    sent: int = 0

    @property
    def per_s(self) -> float:
        """How many a second they have been."""
        return self.sent / (time.monotonic() - self.began_s)


@contextmanager
def storm(store: Store, item: Object, namespace: str, per_s: float) -> Iterator[Storm]:
    """This object changes so often, in a label that means nothing; past HTTP, which would be too slow."""
    counted, over = Storm(time.monotonic()), threading.Event()
    home, key = resource_of(item), (namespace, item["metadata"]["name"])

    def change(standing: Object) -> Object:
        labels = {**standing["metadata"]["labels"], "storm": str(counted.sent)}
        return {**standing, "metadata": {**standing["metadata"], "labels": labels}}

    def blow() -> None:
        while not over.wait(max(0.0, counted.began_s + counted.sent / per_s - time.monotonic())):
            store.update(home, key, change)
            counted.sent += 1

    thread = threading.Thread(target=blow, name="storm")
    thread.start()
    try:
        yield counted
    finally:
        over.set()
        thread.join()


def resident_kb(pid: int) -> int:
    """How much memory a process has, in kB."""
    return int(Path(f"/proc/{pid}/status").read_text().partition("VmRSS:")[2].split()[0])
