"""libnftables in this process: the library that ``nft`` itself is made of, without a fork for each change.

Its interface is ``include/nftables/libnftables.h``: a few functions and flags, which have not changed since
libnftables.so.1 came out. It reads the grammar of nft(8) and answers in JSON, libnftables-json(5).
"""

import ctypes
import errno
from typing import Self

from appliance.errors import KernelError

_NAME = "libnftables.so.1"
_CTX_DEFAULT = 0
_LONGEST_REASON = 300

STATELESS = 1 << 2
"""NFT_CTX_OUTPUT_STATELESS: no counts."""

JSON = 1 << 4
"""NFT_CTX_OUTPUT_JSON."""

NUMERIC_PROTO = 1 << 7
"""NFT_CTX_OUTPUT_NUMERIC_PROTO: protocols as numbers, whatever /etc/protocols says."""


class Library:
    """A libnftables context in the network namespace in which this object is made. Not for two threads at once.

    The library ends the process where the kernel has no netfilter netlink at all (``netlink_init_error``): open a
    socket of that family first.

    Raises:
        KernelError: there is no such library.
    """

    def __init__(self) -> None:
        self._library = _load()
        self._context: int | None = self._library.nft_ctx_new(_CTX_DEFAULT)
        if not self._context:
            raise KernelError("open", _NAME, errno.ENOMEM)
        self._library.nft_ctx_buffer_output(self._context)
        self._library.nft_ctx_buffer_error(self._context)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the context back; a second call does nothing."""
        if self._context:
            self._library.nft_ctx_free(self._context)
        self._context = None

    def run(self, op: str, what: str, text: str, flags: int = 0) -> bytes:
        """Carry out the commands in ``text`` as one transaction, all or nothing, and return what they print.

        The library says why it failed in words only, so the error has EINVAL and the words as a hint.

        Raises:
            KernelError: they do not parse, or the kernel refused them; ``op`` and ``what`` say what was tried.
        """
        self._library.nft_ctx_output_set_flags(self._context, flags)
        failed = self._library.nft_run_cmd_from_buffer(self._context, text.encode())
        # Both are to be fetched each time: the library rewinds its buffers only then.
        printed: bytes = self._library.nft_ctx_get_output_buffer(self._context)
        words: bytes = self._library.nft_ctx_get_error_buffer(self._context)
        if failed:
            raise KernelError(op, what, errno.EINVAL, hint=_reason(words))
        return printed


def _reason(words: bytes) -> str:
    """The first line of what the library says, as far as it can be shown."""
    line = words.decode(errors="replace").partition("\n")[0][:_LONGEST_REASON]
    return "".join(letter if letter.isprintable() else "?" for letter in line)


def _load() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(_NAME)
    except OSError as error:
        raise KernelError("load", _NAME, errno.ENOENT, hint="install the package libnftables1") from error
    library.nft_ctx_new.argtypes = (ctypes.c_uint32,)
    library.nft_ctx_new.restype = ctypes.c_void_p
    library.nft_ctx_output_set_flags.argtypes = (ctypes.c_void_p, ctypes.c_uint)
    library.nft_run_cmd_from_buffer.argtypes = (ctypes.c_void_p, ctypes.c_char_p)
    for name in ("nft_ctx_free", "nft_ctx_buffer_output", "nft_ctx_buffer_error"):
        getattr(library, name).argtypes = (ctypes.c_void_p,)
    for name in ("nft_ctx_get_output_buffer", "nft_ctx_get_error_buffer"):
        function = getattr(library, name)
        function.argtypes, function.restype = (ctypes.c_void_p,), ctypes.c_char_p
    return library
