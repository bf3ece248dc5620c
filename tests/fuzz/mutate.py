"""Changes an input at random, as its structure invites: bytes, lines, columns, JSON values and YAML values."""

from __future__ import annotations

import gzip
import json
import re
from random import Random
from typing import Any

from fuzz.cases import Case

_SURROGATE = "\ud800"
_TEXTS = (
    *(
        "",
        " ",
        "\t",
        "\n",
        "\r",
        "a\tb",
        "a\nb",
        "\x00",
        "\x0b",
        "\x85",
        "\u2028",
        "\ufeff",
        "\u00a0",
        "\u2423",
        "\u202e",
        "é",
        "e\u0301",
        "😀",
    ),
    *(
        "id",
        "Q0",
        "NaN",
        "inf",
        "-inf",
        "1e999",
        "-0",
        "1_000",
        "٣",
        "²",
        "0x10",
        "null",
        "true",
        "C_1_q#0",
        "C_1_q#" + "9" * 5000,
        "1_1",
        "a_0",
    ),
    *(
        "../..",
        "/",
        "[SEP]",
        '"',
        '""',
        "'",
        "{text}",
        "{",
        "&a",
        "*a",
        "!!int",
        "\\",
        "a" * 5000,
        "9" * 5000,
        "1:" * 40 + "1",
        "2001-99-99",
    ),
)
_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 10**18, 2**63, -(2**31), 10**400, 10**4299, 0.5, -0.0, 1e308, 5e-324, float("nan"), float("inf")),
    *([], {}, [[]], [None], [{}], {"": None}, {"id": "a"}, ["a", "a"], [1, "a"], {"a": {"b": {"c": []}}}, _SURROGATE, "a" + _SURROGATE),
)
_BYTES = (
    b"\xef\xbb\xbf",
    b"\x00",
    b"\xff",
    b"\xc3",
    b"\xed\xa0\x80",
    b"\r\n",
    b"\n",
    b"\n\n",
    b"\r",
    b"\t",
    b" ",
    b'"',
    b"\\ud800",
    b"\\u0000",
)
_YAML = (
    *(
        b"~",
        b"&a [b]",
        b"*a",
        b"!!int x",
        b"!!timestamp x",
        b"!!bool x",
        b"!!binary =",
        b"!!set {a}",
        b"!!python/object:os.system {}",
        b"<<: {a: b}",
    ),
    *(
        b"2001-99-99",
        b".nan",
        b".inf",
        b"1:1:1",
        b"0b",
        b"0x",
        b"? a",
        b"[a, b]",
        b"{a: b}",
        b"|\n",
        b"'",
        b'"\\ud800"',
        b"%YAML 9.9",
        b"---",
        b"...",
    ),
    *(b"[" * 100, b"- " * 100, b"1" * 5000, b"1:" * 2000 + b"1", b"2e5000"),
)


def mutated(case: Case, random: Random) -> Case:
    """A copy with one to four changes in one of its files; rarely, that file is gzipped or removed."""
    name = random.choice(sorted(case.files))
    data = case.files[name]
    for _ in range(random.choice((1, 1, 1, 2, 3, 4))):
        data = _changed(name, data, random)
    files = {**case.files, name: data}
    if random.random() < 0.03 and not name.endswith(".gz"):
        packed = gzip.compress(files.pop(name), 1)
        files[f"{name}.gz"] = _bytes(packed, random) if random.random() < 0.5 else packed
    elif random.random() < 0.02 and len(files) > 1:
        del files[name]
    return Case(files, case.is_folder)


def _changed(name: str, data: bytes, random: Random) -> bytes:
    kind = random.random()
    if kind < 0.15:
        return _bytes(data, random)
    if kind < 0.3:
        return _lines(data, random)
    if name.endswith((".yaml", ".yml")):
        return _yaml(data, random)
    return _json(data, random) or _columns(data, random)


def _bytes(data: bytes, random: Random) -> bytes:
    at, to = sorted(random.randrange(len(data) + 1) for _ in range(2))
    match random.randrange(6):
        case 0:
            return data[:at]
        case 1:
            return data[:at] + data[min(to, at + random.randrange(1, 9)) :]
        case 2:
            return data[:at] + random.choice(_BYTES) + data[at:]
        case 3:
            return random.choice(_BYTES[:8]) + data
        case 4:
            return data[:at] + bytes([random.randrange(256)]) + data[at + 1 :]
        case _:
            return data[:to] + data[at:]


def _lines(data: bytes, random: Random) -> bytes:
    lines = data.splitlines(keepends=True) or [b""]
    at, other = random.randrange(len(lines)), random.randrange(len(lines))
    match random.randrange(6):
        case 0:
            del lines[at]
        case 1:
            lines.insert(other, lines[at])
        case 2:
            lines[at], lines[other] = lines[other], lines[at]
        case 3:
            lines[at] = lines[at].rstrip(b"\n")
        case 4:
            lines[at] = lines[at].replace(b"\n", b"\r\n")
        case _:
            lines.insert(at, random.choice((b"\n", b"# comment\n", b"null\n", b"[]\n", b"{}\n", b"a\tb\tc\n", b"a b c d e f\n")))
    return b"".join(lines)


def _columns(data: bytes, random: Random) -> bytes:
    """Another text in one column of a line, or a column more or fewer."""
    lines = data.split(b"\n")
    at = random.randrange(len(lines))
    columns = re.split(rb"([ \t]+)", lines[at])
    place = random.randrange(len(columns))
    columns[place] = b"" if random.random() < 0.2 else random.choice(_TEXTS).encode()
    lines[at] = b"".join(columns)
    return b"\n".join(lines)


def _yaml(data: bytes, random: Random) -> bytes:
    """Another value, or key, on one line."""
    lines = data.split(b"\n")
    at = random.randrange(len(lines))
    key, colon, value = lines[at].partition(b":")
    new = random.choice(_YAML) if random.random() < 0.6 else json.dumps(random.choice(_TEXTS + _VALUES)).encode()
    lines[at] = key + colon + b" " + new if random.random() < 0.7 else new + colon + value
    return b"\n".join(lines)


def _json(data: bytes, random: Random) -> bytes | None:
    """Another value somewhere in a document or in one line; None where the data is no JSON."""
    ascii_only = random.random() < 0.5
    try:
        return _dumped(_value(json.loads(data), random), ascii_only)
    except (ValueError, RecursionError):
        pass
    lines = data.split(b"\n")
    at = random.randrange(len(lines))
    try:
        lines[at] = _dumped(_value(json.loads(lines[at]), random), ascii_only)
    except (ValueError, RecursionError):
        return None
    return b"\n".join(lines)


def _dumped(value: Any, ascii_only: bool) -> bytes:
    return json.dumps(value, ensure_ascii=ascii_only).encode(errors="surrogatepass")


def _value(value: Any, random: Random) -> Any:
    """The value with something in it replaced, removed, repeated, renamed or put elsewhere."""
    places = list(_places(value))
    if not places:
        return _odd(random)
    holder, key = random.choice(places)
    match random.randrange(8):
        case 0:
            del holder[key]
        case 1:
            other, from_ = random.choice(places)
            holder[key] = other[from_] if not isinstance(other[from_], (dict, list)) else json.loads(json.dumps(other[from_]))
        case 2 if isinstance(holder, dict):
            name = random.choice((*_TEXTS, _SURROGATE, str(key) + "x"))
            holder[name] = holder.pop(key)
        case 2:
            holder.insert(random.randrange(len(holder) + 1), holder[key])
        case 3:
            holder[key] = [holder[key]] if random.random() < 0.5 else {str(key): holder[key]}
        case 4 if isinstance(holder[key], int) and not isinstance(holder[key], bool):
            holder[key] += random.choice((-1, 1, 2**31))
        case 5 if isinstance(holder[key], str):
            text, at = holder[key], random.randrange(len(holder[key]) + 1)
            holder[key] = text[:at] + random.choice((*_TEXTS, _SURROGATE)) + text[at:]
        case _:
            holder[key] = _odd(random)
    return value


def _odd(random: Random) -> Any:
    kind = random.random()
    if kind < 0.03:
        value: Any = 1
        for _ in range(random.choice((40, 70, 900))):
            value = [value] if random.random() < 0.7 else {"a": value}
        return value
    if kind < 0.5:
        return random.choice(_TEXTS)
    return json.loads(json.dumps(random.choice(_VALUES)))  # a copy, for later changes are made in place


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every (list or object, index or key)."""
    places: list[tuple[Any, Any]] = []
    level = [value]
    while level:
        holders = [holder for holder in level if isinstance(holder, (dict, list))]
        level = []
        for holder in holders:
            keys = list(holder) if isinstance(holder, dict) else range(len(holder))
            places += [(holder, key) for key in keys]
            level += [holder[key] for key in keys]
    return places
