"""Ways to damage documents, texts and bytes; the same seed and number always give the same damage."""

from __future__ import annotations

import copy
import math
import random
import re
from typing import Any

#: Numbers that break readers: as JSON and as text they are what they are here.
NUMBERS = [0, -0.0, 1, -1, 2, 3, 0.5, 1e-320, 5e-324, 1e-161, 1e-12, 1e12, 1e39, 1e161, 1e308, -1e308, 2**31, 2**53 + 1]
NUMBERS += [2**63 - 1, 2**63, 2**64, -(2**63), 10**40, math.nan, math.inf, -math.inf]
TEXTS = ["", " ", "x", "nan", "0", "1e400", "true", "../../etc/passwd", "a" * 199, "a" * 201, "b" * 2001, "\u202eabc"]
TEXTS += [
    "\x00",
    "a\nb",
    "\x1b[31mred",
    "\ufeff",
    "\ud800",
    "é中文😀",
    "<script>alert(1)</script>",
    "{}",
    "%s%n",
    "a, b",
]
#: What a number in a line of a file becomes.
FIGURES = [
    "nan",
    "NaN",
    "inf",
    "-inf",
    "********",
    "?",
    ".",
    "1e308",
    "-1e308",
    "1e39",
    "9" * 40,
    "0",
    "-0",
    "-1",
    "999",
]
FIGURES += ["1000", "32767", "65536", "2147483648", "1e-320", "0x10", "1,5", "", "٣", "--1"]


def generator(seed: int, number: int) -> random.Random:
    """The generator of a case."""
    return random.Random(f"{seed}/{number}")


def places(node: Any, path: tuple = ()) -> list[tuple]:
    """The way to everything inside a document."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [way for key, value in items for way in [(*path, key), *places(value, (*path, key))]]


def odd_value(rng: random.Random, edges: list[float]) -> Any:
    """A value that is likely to be wrong, or just right, somewhere."""
    kind = rng.randrange(9)
    if kind < 3 and edges:
        edge = rng.choice(edges)
        near = [
            edge,
            edge - 1,
            edge + 1,
            math.nextafter(edge, math.inf),
            math.nextafter(edge, -math.inf),
            -edge,
            edge / 2,
        ]
        return rng.choice(near)
    if kind < 5:
        return rng.choice(NUMBERS)
    if kind == 5:
        return rng.choice(TEXTS)
    if kind == 6:
        nested: Any = rng.choice([[], {}, 1])
        for _ in range(rng.choice([1, 3, 90])):
            nested = [nested] if rng.random() < 0.5 else {"a": nested}
        return nested
    if kind == 7:
        return [rng.choice(NUMBERS)] * rng.choice([0, 1, 2, 65, 5000])
    return rng.choice([None, True, False, {}, [], {"name": "or"}, {"weight": 1}, "1", "1.0"])


def mutate_document(rng: random.Random, document: Any, edges: list[float]) -> Any:
    """A copy in which one thing is gone, replaced, renamed, repeated, moved or added."""
    document = copy.deepcopy(document)
    ways = places(document)
    if not ways:
        return odd_value(rng, edges)
    *way, key = rng.choice(ways)
    holder = document
    for part in way:
        holder = holder[part]
    kind = rng.randrange(8)
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(holder, dict):
        holder[rng.choice([str(key).upper(), f"{key}s", "", "__class__", rng.choice(TEXTS)])] = holder.pop(key)
    elif kind == 2 and isinstance(holder, list):
        holder.extend([holder[key]] * rng.choice([1, 2, 8, 100]))
    elif kind == 3 and isinstance(holder[key], (int, float)) and not isinstance(holder[key], bool):
        holder[key] = rng.choice([str(holder[key]), [holder[key]], holder[key] * rng.choice([1e-3, 0.5, 2, -1, 1e3])])
    elif kind == 4:
        other = document
        for part in rng.choice(ways):
            other = other[part]
        holder[key] = copy.deepcopy(other)
    else:
        holder[key] = odd_value(rng, edges)
    return document


def mutate_bytes(rng: random.Random, content: bytes) -> bytes:
    """Bytes changed, inserted, left out, repeated, or cut off."""
    if not content:
        return rng.randbytes(rng.randrange(200))
    kind, start = rng.randrange(7), rng.randrange(len(content))
    end = min(len(content), start + rng.choice([1, 2, 8, 64, 1000]))
    if kind == 0:
        return content[:start]
    if kind == 1:
        return content[start:]
    if kind == 2:
        return content[:start] + content[end:]
    if kind == 3:
        return content[:start] + rng.randbytes(rng.choice([1, 4, 100])) + content[start:]
    if kind == 4:
        return content[:end] + content[start:end] * rng.choice([1, 5, 300]) + content[end:]
    changed = bytearray(content)
    for _ in range(rng.choice([1, 1, 3, 30])):
        place = rng.randrange(len(changed))
        changed[place] = changed[place] ^ (1 << rng.randrange(8)) if kind == 5 else rng.randrange(256)
    return bytes(changed)


def mutate_lines(rng: random.Random, content: bytes, most: int = 4_000_000) -> bytes:
    """Lines, columns and numbers changed, blocks repeated, other encodings and ends of lines.

    Args:
        rng: of the case.
        content: of a text file.
        most: bytes of what blocks are repeated to, at most.
    """
    lines = content.split(b"\n")
    kind, place = rng.randrange(16), rng.randrange(len(lines))
    end = min(len(lines), place + rng.choice([1, 1, 2, 10, 60]))
    line = lines[place]
    if kind == 0:
        del lines[place:end]
    elif kind == 1:
        lines[place:place] = lines[place:end]
    elif kind == 2:
        block = lines[place:end]
        times = min(rng.choice([3, 30, 300, 3000, 30_000]), most // max(1, sum(map(len, block)) + len(block)))
        lines[place:place] = block * max(1, times)
    elif kind == 3:
        lines[place], lines[end - 1] = lines[end - 1], lines[place]
    elif kind == 4:
        lines[place] = b" " * rng.choice([1, 2, 7]) + line if rng.random() < 0.5 else line[rng.choice([1, 2, 7]) :]
    elif kind == 5:
        lines[place:place] = [b""] * rng.choice([1, 2, 20, 2000])
    elif kind == 6:
        lines[place] = line[: rng.randrange(len(line) + 1)]
    elif kind == 7:
        lines[place] = line + rng.choice([b" ", b" 1", b"\t", b"\x00", b"\xff\xfe", "é".encode(), b"\xe9", b"\x1b[31m"])
    elif kind == 8:
        return content.replace(b"\n", rng.choice([b"\r\n", b"\r", b"\n\n", b"\x0b", b"\x0c", b"\x00", b" "]))
    elif kind == 9:
        text = content.decode("latin-1")
        return text.encode(rng.choice(["utf-16", "utf-8-sig", "utf-32", "utf-16-be", "cp037"]))
    elif kind == 10:
        return content + rng.choice(
            [b"\n" * 50, content, b"\x1a", b"\x00" * 100, b"$$$$\n", b"END\n", b"data_x\nloop_\n"]
        )
    elif kind == 11:
        lines[place] = bytes(rng.choice([byte, byte, byte, byte | 128, 32]) for byte in line)
    else:
        lines[place] = _number(rng, line)
    return b"\n".join(lines)


def _number(rng: random.Random, line: bytes) -> bytes:
    """A number of a line replaced, in its columns or not."""
    found = list(re.finditer(rb"[-+]?\d+\.?\d*", line))
    if not found:
        return line + b" 1e308"
    match = rng.choice(found)
    new = rng.choice(FIGURES).encode()
    if rng.random() < 0.5:
        new = new.rjust(match.end() - match.start())[: match.end() - match.start()]
    return line[: match.start()] + new + line[match.end() :]
