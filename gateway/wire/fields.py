"""The wire format of Protobuf, for messages that are put together out of encoded parts."""

from __future__ import annotations


def varint(value: int) -> bytes:
    """Encode a number that is not negative."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_varint(view: memoryview, position: int) -> tuple[int, int]:
    """Return the value and the position behind it; position 0 = the bytes end within it."""
    value = shift = 0
    while position < len(view):
        byte = view[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    return 0, 0


def nested(number: int, body: bytes) -> bytes:
    """Encode a field that is a message or bytes, out of what is encoded of it already."""
    return b"%b%b%b" % (varint(number << 3 | 2), varint(len(body)), body)
