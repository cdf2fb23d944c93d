"""The snapshot on disk: the last complete word of every source, for a node that boots while its sources are silent."""

import contextlib
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from appliance.director.snapshot_codec import Encoder, Kept, Unusable, decode
from appliance.model.address import Network
from appliance.storage import replace_file


@dataclass(frozen=True, slots=True)
class Found:
    """What was read, by name of source; ``refused`` is why something that lay there is not among it."""

    kept: Mapping[str, Kept] = field(default_factory=dict)
    refused: str = ""


class SnapshotFile:
    """Loads and saves. Both block: call them in a thread."""

    def __init__(self, path: Path, pools: Iterable[Network]) -> None:
        self.path = path
        self._pools = tuple(pools)
        self._encoder = Encoder(self._pools)
        self._saving = threading.Lock()

    def load(self) -> Found:
        """What the file holds; one that cannot be used is set aside as ``*.bad``, so that it can be looked at."""
        try:
            return Found(decode(self.path.read_bytes(), self._pools))
        except FileNotFoundError:
            return Found()
        except OSError as error:
            return Found(refused=f"{self.path} cannot be read: {error.strerror or error}")
        except Unusable as error:
            aside = self.path.with_name(f"{self.path.name}.bad")
            with contextlib.suppress(OSError):
                self.path.replace(aside)
            return Found(refused=f"{self.path} is set aside as {aside.name}: {error}")

    def save(self, kept: Mapping[str, Kept]) -> None:
        """Replace the file in one step: a crash, also of the machine, leaves the old one or the new one.

        Raises:
            OSError: the disk is full, the directory is missing or read-only; the old file stands.
        """
        # A director that stops saves once more, perhaps while a thread that it gave up on still does.
        with self._saving:
            replace_file(self.path, self._encoder.encode(kept))
