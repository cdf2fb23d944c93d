"""The disk: which partition lies where, as values. Nothing is written here."""

from collections.abc import Iterator
from dataclasses import dataclass

SECTOR_BYTES = 512
MIB = 1 << 20
# GPT keeps 34 sectors at the start and 33 at the end; partitions start on whole MiB, as every tool has it today.
_EDGE_BYTES = MIB


@dataclass(frozen=True, slots=True)
class Partition:
    """One partition: its name, type (as sgdisk writes it) and size."""

    name: str
    kind: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Placed:
    """A partition with its number and its place on the disk."""

    partition: Partition
    number: int
    start_bytes: int

    @property
    def start_sector(self) -> int:
        """The first sector, of 512 bytes."""
        return self.start_bytes // SECTOR_BYTES


# grub.cfg and docs/decisions/0019-image-and-slots.md know these numbers. 8300 and not the type of root file systems:
# systemd looks for those by itself, and there are two.
PARTITIONS = (
    Partition("balanced-grub", "ef02", MIB),
    Partition("balanced-esp", "ef00", 128 * MIB),
    Partition("balanced-a", "8300", 2048 * MIB),
    Partition("balanced-b", "8300", 2048 * MIB),
    # Last, so that it can grow to the end of the disk it is written to.
    Partition("balanced-data", "8300", 256 * MIB),
)


def place(partitions: tuple[Partition, ...] = PARTITIONS) -> Iterator[Placed]:
    """The partitions one behind the other, on whole MiB.

    Raises:
        ValueError: a size is no multiple of a MiB.
    """
    start = _EDGE_BYTES
    for number, partition in enumerate(partitions, 1):
        if partition.size_bytes % MIB:
            raise ValueError(f"{partition.name}: {partition.size_bytes} bytes is no multiple of a MiB")
        yield Placed(partition, number, start)
        start += partition.size_bytes


def disk_bytes(partitions: tuple[Partition, ...] = PARTITIONS) -> int:
    """The size of the whole disk."""
    return 2 * _EDGE_BYTES + sum(partition.size_bytes for partition in partitions)


def sgdisk_arguments(partitions: tuple[Partition, ...] = PARTITIONS) -> Iterator[str]:
    """What sgdisk takes to write this table into an empty file."""
    for placed in place(partitions):
        number, each = placed.number, placed.partition
        last = placed.start_sector + each.size_bytes // SECTOR_BYTES - 1
        yield f"--new={number}:{placed.start_sector}:{last}"
        yield f"--typecode={number}:{each.kind}"
        yield f"--change-name={number}:{each.name}"
