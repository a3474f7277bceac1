"""Erlang's external term format. Nothing here is shared with muster.

`encode` and `decode` turn whole terms into Python's and back: atoms are Atom, binaries bytes (or, to be
encoded, a plain str), strings of small integers lists, pids and references ("pid", bytes) and ("ref",
bytes). A plain str as a map's key is an atom, for that is what options' names are.

The functions below `Pieces` write one term each, also what `encode` would not: for those who forge.
"""
import struct

VERSION = b"\x83"


class Atom(str):
    """An atom; compares equal to the str of the same text."""


class MalformedTerm(ValueError):
    pass


# --- Pieces: bytes without the version ---

def atom(text):
    data = text.encode()
    return b"w" + bytes([len(data)]) + data if len(data) < 256 else b"v" + struct.pack(">H", len(data)) + data


def integer(n):
    if 0 <= n < 256:
        return b"a" + bytes([n])
    if -(1 << 31) <= n < 1 << 31:
        return b"b" + struct.pack(">i", n)
    raw = abs(n).to_bytes((abs(n).bit_length() + 7) // 8, "little")
    return b"n" + bytes([len(raw), n < 0]) + raw


def binary(data):
    return b"m" + struct.pack(">I", len(data)) + data


def tuple_(*elements):
    return b"h" + bytes([len(elements)]) + b"".join(elements)


def list_(elements, tail=b"j"):
    return b"l" + struct.pack(">I", len(elements)) + b"".join(elements) + tail


def map_(pairs):
    return b"t" + struct.pack(">I", len(pairs)) + b"".join(k + v for k, v in pairs)


def pid(node, number=5, serial=0, creation=77):
    return b"X" + atom(node) + struct.pack(">III", number, serial, creation)


def ref(node, *words, creation=77):
    return b"Z" + struct.pack(">H", len(words)) + atom(node) + struct.pack(">I", creation) + \
        b"".join(struct.pack(">I", w) for w in words)


# --- Writing ---

def encode(term):
    return VERSION + _encode(term)


def _encode(t):
    if isinstance(t, bool):
        return atom("true" if t else "false")
    if isinstance(t, Atom):
        return atom(t)
    if isinstance(t, str):
        return binary(t.encode())
    if isinstance(t, bytes):
        return binary(t)
    if isinstance(t, int):
        return integer(t)
    if isinstance(t, tuple):
        return tuple_(*map(_encode, t))
    if isinstance(t, list):
        return list_(list(map(_encode, t))) if t else b"j"
    if isinstance(t, dict):
        return map_([(_encode(Atom(k) if isinstance(k, str) else k), _encode(v)) for k, v in t.items()])
    raise TypeError(f"no term: {t!r}")


# --- Reading ---

def decode(data):
    if data[:1] != VERSION:
        raise MalformedTerm("no version byte")
    term, at = decode_at(data, 1)
    if at != len(data):
        raise MalformedTerm("bytes behind the term")
    return term


def decode_at(data, at):
    """The term that begins at `at`, and where it ends. An improper list comes as (elements, tail)."""
    tag = data[at:at + 1]
    start, at = at, at + 1
    if tag == b"a":
        return data[at], at + 1
    if tag == b"b":
        return struct.unpack_from(">i", data, at)[0], at + 4
    if tag == b"F":
        return struct.unpack_from(">d", data, at)[0], at + 8
    if tag in (b"n", b"o"):
        size, at = _size(data, at, ">B" if tag == b"n" else ">I")
        value = int.from_bytes(data[at + 1:at + 1 + size], "little")
        return -value if data[at] else value, at + 1 + size
    if tag in (b"w", b"s", b"v", b"d"):
        size, at = _size(data, at, ">B" if tag in (b"w", b"s") else ">H")
        return Atom(data[at:at + size].decode("utf-8", "replace")), at + size
    if tag in (b"m", b"k"):
        size, at = _size(data, at, ">I" if tag == b"m" else ">H")
        return (bytes if tag == b"m" else list)(data[at:at + size]), at + size
    if tag in (b"h", b"i"):
        size, at = _size(data, at, ">B" if tag == b"h" else ">I")
        terms, at = _decode_many(data, at, size)
        return tuple(terms), at
    if tag == b"j":
        return [], at
    if tag == b"l":
        size, at = _size(data, at, ">I")
        terms, at = _decode_many(data, at, size)
        tail, at = decode_at(data, at)
        return terms if tail == [] else (terms, tail), at
    if tag == b"t":
        size, at = _size(data, at, ">I")
        terms, at = _decode_many(data, at, 2 * size)
        return dict(zip(terms[::2], terms[1::2])), at
    if tag == b"X":
        end = decode_at(data, at)[1] + 12
        return ("pid", bytes(data[start:end])), end
    if tag == b"Z":
        words, at = _size(data, at, ">H")
        end = decode_at(data, at)[1] + 4 + 4 * words
        return ("ref", bytes(data[start:end])), end
    raise MalformedTerm(f"tag {tag!r}")


def _size(data, at, form):
    return struct.unpack_from(form, data, at)[0], at + struct.calcsize(form)


def _decode_many(data, at, count):
    terms = []
    for _ in range(count):
        term, at = decode_at(data, at)
        terms.append(term)
    return terms, at
