"""The two messages of the Container Runtime Interface that we need, as protobuf bytes.

Facts: ``k8s.io/cri-api``, runtime/v1/api.proto (ContainerStatusRequest, ContainerStatusResponse), and the protobuf
encoding (protobuf.dev/programming-guides/encoding). Fields that we do not know are passed over, as every reader must.
"""

from collections.abc import Iterator

from appliance.errors import RuntimeSilent

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_WIDTHS = {_FIXED64: 8, _FIXED32: 4}
_LONGEST_VARINT = 10

_REQUEST_ID, _REQUEST_VERBOSE = 1, 2
_RESPONSE_INFO = 2
_ENTRY_KEY, _ENTRY_VALUE = 1, 2


def container_status_request(container: str) -> bytes:
    """Ask for a container with all that the runtime knows about it (``verbose``)."""
    name = container.encode()
    return _head(_REQUEST_ID, _LENGTH) + _varint(len(name)) + name + _head(_REQUEST_VERBOSE, _VARINT) + _varint(1)


def read_info(response: bytes) -> dict[str, str]:
    """What a verbose ContainerStatusResponse adds: texts by name, most of them JSON.

    Raises:
        RuntimeSilent: these bytes are none.
    """
    info: dict[str, str] = {}
    for number, value in _fields(response):
        if number == _RESPONSE_INFO and isinstance(value, bytes):
            entry = dict(_fields(value))
            name, text = entry.get(_ENTRY_KEY, b""), entry.get(_ENTRY_VALUE, b"")
            if isinstance(name, bytes) and isinstance(text, bytes):
                info[name.decode(errors="replace")] = text.decode(errors="replace")
    return info


def _fields(message: bytes) -> Iterator[tuple[int, bytes | int]]:
    at = 0
    while at < len(message):
        tag, at = _read_varint(message, at)
        kind = tag & 7
        if kind == _VARINT:
            value, at = _read_varint(message, at)
            yield tag >> 3, value
            continue
        if kind == _LENGTH:
            length, at = _read_varint(message, at)
        elif kind in _WIDTHS:
            length = _WIDTHS[kind]
        else:
            raise _malformed(at)
        if length > len(message) - at:
            raise _malformed(at)
        yield tag >> 3, message[at : at + length]
        at += length


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    value = 0
    for place, byte in enumerate(message[at : at + _LONGEST_VARINT]):
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:  # noqa: PLR2004 - the bit that says that there is more
            return value, at + place + 1
    raise _malformed(at)


def _head(number: int, kind: int) -> bytes:
    return _varint(number << 3 | kind)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:  # noqa: PLR2004 - seven bits a byte
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _malformed(at: int) -> RuntimeSilent:
    return RuntimeSilent(f"the runtime's answer is no protobuf message: byte {at}", hint="is this socket a runtime's?")
