"""Erlang's external term format, as much of it as the control port uses.

Atoms are Atom, binaries bytes (or, to be encoded, a plain str), strings of small integers lists; maps
need hashable keys.
"""
import struct


class Atom(str):
    """An atom; compares equal to the str of the same text."""


class MalformedTerm(ValueError):
    pass


def encode(term):
    return b"\x83" + _encode(term)


def _encode(t):
    if isinstance(t, bool):
        return _encode(Atom("true" if t else "false"))
    if isinstance(t, Atom):
        raw = t.encode()
        return b"w" + bytes([len(raw)]) + raw
    if isinstance(t, str):
        t = t.encode()
    if isinstance(t, bytes):
        return b"m" + struct.pack(">I", len(t)) + t
    if isinstance(t, int):
        return _encode_integer(t)
    if isinstance(t, tuple):
        return b"h" + bytes([len(t)]) + b"".join(map(_encode, t))
    if isinstance(t, list):
        if not t:
            return b"j"
        return b"l" + struct.pack(">I", len(t)) + b"".join(map(_encode, t)) + b"j"
    if isinstance(t, dict):
        pairs = b"".join(_encode(k) + _encode(v) for k, v in t.items())
        return b"t" + struct.pack(">I", len(t)) + pairs
    raise TypeError(f"no term: {t!r}")


def _encode_integer(n):
    if 0 <= n < 256:
        return b"a" + bytes([n])
    if -(1 << 31) <= n < 1 << 31:
        return b"b" + struct.pack(">i", n)
    raw = abs(n).to_bytes((abs(n).bit_length() + 7) // 8, "little")
    return b"n" + bytes([len(raw), n < 0]) + raw


def decode(data):
    if data[:1] != b"\x83":
        raise MalformedTerm("no version byte")
    term, at = _decode(data, 1)
    if at != len(data):
        raise MalformedTerm("bytes behind the term")
    return term


def _decode_many(data, at, count):
    terms = []
    for _ in range(count):
        term, at = _decode(data, at)
        terms.append(term)
    return terms, at


def _decode(data, at):
    tag = data[at:at + 1]
    at += 1
    if tag == b"a":
        return data[at], at + 1
    if tag == b"b":
        return struct.unpack_from(">i", data, at)[0], at + 4
    if tag == b"n":
        size, negative = data[at], data[at + 1]
        value = int.from_bytes(data[at + 2:at + 2 + size], "little")
        return -value if negative else value, at + 2 + size
    if tag == b"F":
        return struct.unpack_from(">d", data, at)[0], at + 8
    if tag in (b"w", b"s"):
        end = at + 1 + data[at]
        return Atom(data[at + 1:end].decode()), end
    if tag in (b"d", b"v"):
        end = at + 2 + struct.unpack_from(">H", data, at)[0]
        return Atom(data[at + 2:end].decode()), end
    if tag == b"m":
        end = at + 4 + struct.unpack_from(">I", data, at)[0]
        return data[at + 4:end], end
    if tag == b"k":
        end = at + 2 + struct.unpack_from(">H", data, at)[0]
        return list(data[at + 2:end]), end
    if tag == b"j":
        return [], at
    if tag == b"h":
        terms, at = _decode_many(data, at + 1, data[at])
        return tuple(terms), at
    if tag == b"l":
        terms, at = _decode_many(data, at + 4, struct.unpack_from(">I", data, at)[0])
        if data[at:at + 1] != b"j":
            raise MalformedTerm("an improper list")
        return terms, at + 1
    if tag == b"t":
        terms, at = _decode_many(data, at + 4, 2 * struct.unpack_from(">I", data, at)[0])
        return dict(zip(terms[::2], terms[1::2])), at
    raise MalformedTerm(f"tag {tag!r}")
