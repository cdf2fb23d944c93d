"""GRUB's first sectors, as ``grub-bios-setup`` would write them to a disk: pure, so that no disk and no root is needed.

Offsets are those of grub-core/boot/i386/pc/{boot,diskboot}.S and include/grub/i386/pc/boot.h of GRUB 2.12.
"""

import struct

SECTOR_BYTES = 512
# Behind it stands the partition table of the MBR, which is not GRUB's.
BOOT_CODE_BYTES = 440
_KERNEL_SECTOR = 0x5C
_DRIVE_CHECK = 0x66
_NOP_NOP = b"\x90\x90"
_BLOCK_LIST = SECTOR_BYTES - 12
_SIGNATURE = b"\x55\xaa"


def boot_code(boot_image: bytes, core_sector: int) -> bytes:
    """The code for the first sector of the disk, which loads the sector where core.img begins.

    Raises:
        ValueError: this is no boot.img.
    """
    if len(boot_image) != SECTOR_BYTES or boot_image[-2:] != _SIGNATURE:
        raise ValueError(f"boot.img: {len(boot_image)} bytes without a boot signature; take it from grub-pc-bin")
    code = bytearray(boot_image[:BOOT_CODE_BYTES])
    struct.pack_into("<Q", code, _KERNEL_SECTOR, core_sector)
    # Some BIOSes name a wrong drive; grub-bios-setup does the same for every hard disk.
    code[_DRIVE_CHECK : _DRIVE_CHECK + 2] = _NOP_NOP
    return bytes(code)


def core(core_image: bytes, core_sector: int, room_bytes: int) -> bytes:
    """core.img, whose first sector knows from where to load the rest.

    Raises:
        ValueError: it does not fit into its partition.
    """
    if len(core_image) > room_bytes:
        raise ValueError(f"core.img: {len(core_image)} bytes do not fit into {room_bytes}; leave modules out")
    # The list holds one run: grub-mkimage wrote its length and segment, the place is known only now.
    patched = bytearray(core_image)
    struct.pack_into("<Q", patched, _BLOCK_LIST, core_sector + 1)
    return bytes(patched)
