"""Seeds and what came of former ones -> the files to write and to remove. Pure.

A medium speaks when it says something else than when it was last obeyed. One that is absent says nothing, and nothing
is removed for it: whoever takes the stick out does not take the configuration away.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import PurePosixPath

import msgspec

from appliance.errors import ConfigError
from appliance.firstboot.seed import CONFIG, Seed


class Obeyed(msgspec.Struct, frozen=True):
    """What was made of a kind of medium: a digest of all that it said, and the files that it asked for."""

    digest: str
    files: tuple[str, ...]


Record = Mapping[str, Obeyed]


@dataclass(frozen=True, slots=True)
class Change:
    """Files to write and to remove below /etc/balanced, and the record of media that is true afterwards."""

    write: Mapping[PurePosixPath, bytes] = field(default_factory=dict)
    remove: tuple[PurePosixPath, ...] = ()
    record: Record = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether a medium spoke at all."""
        return bool(self.record)


def digest(seed: Seed) -> str:
    """The same for the same words, in whatever order they are read."""
    parts = [seed.id.encode(), *(f"{path}\0".encode() + seed.files[path] for path in sorted(seed.files))]
    return sha256(b"".join(sha256(part).digest() for part in parts)).hexdigest()


def merge(seeds: Sequence[tuple[str, Seed]], record: Record) -> Change:
    """What is to be changed for ``seeds``, each with the name of its kind, the most deliberate kind first.

    Raises:
        ConfigError: a medium that brought the configuration once has lost it; that is taken for a mistake.
    """
    said = {kind: Obeyed(digest(seed), tuple(sorted(map(str, seed.files)))) for kind, seed in seeds}
    speaking = [kind for kind, obeyed in said.items() if kind not in record or record[kind].digest != obeyed.digest]
    if not speaking:
        return Change()
    spoken_of = {name for kind in speaking for each in (said[kind], record.get(kind)) if each for name in each.files}
    first = {path: content for _, seed in reversed(seeds) for path, content in seed.files.items()}
    write = {path: content for path, content in first.items() if str(path) in spoken_of}
    after = {**record, **said}
    kept = {name for obeyed in after.values() for name in obeyed.files}
    gone = sorted({name for kind in speaking if kind in record for name in record[kind].files} - kept)
    if str(CONFIG) in gone:
        places = ", ".join(seed.place for kind, seed in seeds if kind in speaking)
        raise ConfigError((f"{places}: {CONFIG} is no longer there (put it back; what stands is kept until then)",))
    return Change(write, tuple(map(PurePosixPath, gone)), after)
