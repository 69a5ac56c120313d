"""Files of torch.save, in both of its formats, and plain pickles: where their numbers lie."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from ...errors import quoted
from .machine import Machine
from .parts import AGAIN, LARGEST_DIRECTORY, OFFICIAL, Source, Storage, damaged, no_storages, numbers_of, refuse

#: What torch.save's older format begins with.
_MAGIC = 0x1950A86A20F9469CFC6C
#: What other files begin with that people take for a checkpoint.
_OTHERS = {
    b"version https://git-lfs": "is a pointer of Git LFS, not the file itself; fetch that with 'git lfs pull'",
    b"\x1f\x8b": f"is compressed by gzip; unpack it first, or {OFFICIAL}",
    b"BZh": f"is compressed by bzip2; unpack it first, or {OFFICIAL}",
    b"\xfd7zXZ": f"is compressed by xz; unpack it first, or {OFFICIAL}",
    b"\x04\x22\x4d\x18": "is compressed by lz4; load it with joblib where it was made, and save it with compress=0",
    b"x\x01": "is compressed by zlib; load it with joblib where it was made, and save it with compress=0",
    b"x\x9c": "is compressed by zlib; load it with joblib where it was made, and save it with compress=0",
    b"x\xda": "is compressed by zlib; load it with joblib where it was made, and save it with compress=0",
    b"\x89HDF": f"is an HDF5 file, no checkpoint of torch; {OFFICIAL}",
    b"<": f"is a web page, not the file that it should lead to; {AGAIN} from the page's own link",
}


def read_mapped(path: Path, content: memoryview) -> Any:
    """What a mapped file holds, by how it begins; raises Refused."""
    start = content[:512].tobytes()
    if start.startswith(b"PK"):
        return _read_zip(path, content)
    for letters, why in _OTHERS.items():
        if start.startswith(letters):
            refuse(why)
    if start[257:262] == b"ustar":
        refuse(f"is a tar archive, of torch before 2017 or a folder packed as one; unpack it, or {OFFICIAL}")
    if start[8:9] == b"{":
        refuse("looks like a safetensors file, which needs no conversion of its pickle; " + OFFICIAL)
    if start[0] != 0x80 and start[:1] not in (b"(", b"c", b"]", b"}"):
        refuse(f"is no checkpoint of torch and no pickle; {OFFICIAL}")
    source = Source(content, 0, len(content))
    first = Machine(source, no_storages).run()
    return _read_stream(source) if isinstance(first, int) and first == _MAGIC else first


def _read_stream(source: Source) -> Any:
    """The older format of torch.save: pickles one after the other, then each storage's length and bytes."""
    content, end = source.content, source.end
    version, system = Machine(source, no_storages).run(), Machine(source, no_storages).run()
    if version != 1001 or not isinstance(system, dict):
        damaged("its older format is of an unknown version")
    declared: dict[str, tuple[torch.dtype, int]] = {}

    def note(key: str, dtype: torch.dtype, count: int) -> Storage:
        if declared.setdefault(key, (dtype, count)) != (dtype, count):
            damaged(f"the storage {quoted(key)} is declared twice")
        return Storage(dtype, None)

    beginning = source.at
    Machine(source, note).run()
    keys = Machine(source, no_storages).run()
    if not isinstance(keys, list) or len(keys) != len(declared) or {str(key) for key in keys} != set(declared):
        damaged("its list of storages is not the one that its tensors have")
    order: Literal["little", "big"] = "little" if system.get("little_endian", True) else "big"
    found: dict[str, Tensor] = {}
    for key in keys:
        dtype, count = declared[str(key)]
        if (there := int.from_bytes(source.view(8), order, signed=True)) != count:
            damaged(f"the storage {quoted(str(key))} has {there:,} numbers where {count:,} are declared")
        found[str(key)] = numbers_of(source.view(count * dtype.itemsize), dtype, order)
    again = Source(content, beginning, end)
    return Machine(again, lambda key, dtype, count: Storage(dtype, found[key])).run()


def _read_zip(path: Path, content: memoryview) -> Any:
    """The format of torch.save since 1.6: a zip without compression, with one pickle and an entry for each storage."""
    entries = _entries(path, content)
    main = [name for name in entries if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(main) != 1:
        refuse(f"is a zip file, but none that torch.save wrote (no data.pkl in its folder); {OFFICIAL}")
    folder = main[0].removesuffix("data.pkl")
    if f"{folder}constants.pkl" in entries:
        refuse(f"is a program of TorchScript, not weights; {OFFICIAL}")
    start, size = entries[main[0]]
    order = "little"
    if f"{folder}byteorder" in entries:
        at, length = entries[f"{folder}byteorder"]
        order = content[at : at + min(length, 16)].tobytes().decode("ascii", "replace")
        if order not in ("little", "big"):
            damaged("it names no order of bytes")
    found: dict[str, Storage] = {}

    def locate(key: str, dtype: torch.dtype, count: int) -> Storage:
        if f"{folder}data/{key}" not in entries:
            refuse(f"lacks its storage {quoted(key)}; {AGAIN}")
        at, length = entries[f"{folder}data/{key}"]
        if length != count * dtype.itemsize:
            refuse(
                f"declares {count * dtype.itemsize:,} bytes for its storage {quoted(key)} and holds {length:,}; {AGAIN}"
            )
        if key not in found:
            found[key] = Storage(dtype, numbers_of(content[at : at + length], dtype, order))
        if found[key].dtype != dtype:
            damaged(f"the storage {quoted(key)} has two types")
        return found[key]

    return Machine(Source(content, start, start + size), locate).run()


def _entries(path: Path, content: memoryview) -> dict[str, tuple[int, int]]:
    """Where each entry of a zip begins and how long it is; they are stored as they are, and none lies in another."""
    # The directory's length, before it is read: at the end of the file, or of a large one just before that.
    size = len(content)
    if size < 22 or content[size - 22 : size - 18] != b"PK\5\6":
        refuse(f"is a zip file without its end; {AGAIN}")
    (length,) = struct.unpack("<I", content[size - 10 : size - 6])
    if size >= 98 and content[size - 42 : size - 38] == b"PK\6\7":
        (length,) = struct.unpack("<Q", content[size - 58 : size - 50])
    if length > min(size, LARGEST_DIRECTORY):
        refuse(f"declares a directory of {length:,} bytes, more than a checkpoint has; {OFFICIAL}")
    try:
        with zipfile.ZipFile(path) as packed:
            listed = packed.infolist()
    except (zipfile.BadZipFile, NotImplementedError, UnicodeError, ValueError, struct.error, EOFError):
        refuse(f"is a zip file whose directory is damaged; {AGAIN}")
    found: dict[str, tuple[int, int]] = {}
    ends = 0
    for entry in sorted(listed, key=lambda entry: entry.header_offset):
        name = entry.filename
        if name.startswith("/") or "\\" in name or "\0" in entry.orig_filename or ":" in name:
            refuse(f"holds an entry with the path '{quoted(name)}', which torch.save never writes; {OFFICIAL}")
        if ".." in name.split("/"):
            refuse(f"holds an entry with the path '{quoted(name)}', which torch.save never writes; {OFFICIAL}")
        if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size:
            refuse(
                f"holds the compressed entry '{quoted(name)}' ({entry.compress_size:,} bytes that declare "
                f"{entry.file_size:,}), and torch.save compresses nothing; {OFFICIAL}"
            )
        if entry.flag_bits & 1:
            refuse(f"is encrypted; {OFFICIAL}")
        begins = entry.header_offset
        if begins < ends or begins + 30 > size or content[begins : begins + 4] != b"PK\3\4":
            damaged(f"its entry '{quoted(name)}' is not where its directory says")
        ends = begins + 30 + sum(struct.unpack("<HH", content[begins + 26 : begins + 30])) + entry.file_size
        if ends > size:
            refuse(f"is cut short: its entry '{quoted(name)}' declares {entry.file_size:,} bytes; {AGAIN}")
        if name in found:
            damaged(f"it has two entries '{quoted(name)}'")
        found[name] = ends - entry.file_size, entry.file_size
    return found
