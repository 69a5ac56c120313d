"""Files of strangers: benign ones hold what torch and numpy read themselves, malicious ones run nothing."""

import builtins
import collections
import io
import os
import pickle
import struct
import sys
import tracemalloc
import zipfile

import joblib
import numpy as np
import pytest
import torch

from superdiff_engine.errors import ModelError
from superdiff_engine.system.inert import Inert, machine, read, tensors_of

NUMBERS = "float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool"


class Strange:
    """A class that reading must neither import nor make."""

    def __init__(self):
        self.note = "kept"

    def __setstate__(self, state):
        raise AssertionError("it was made")


def same(ours, theirs):
    """Whether two trees are alike, to the bit."""
    if isinstance(theirs, torch.Tensor):
        return ours.dtype == theirs.dtype and ours.shape == theirs.shape and torch.equal(ours, theirs)
    if isinstance(theirs, dict):
        return list(ours) == list(theirs) and all(same(ours[key], theirs[key]) for key in theirs)
    if isinstance(theirs, list | tuple):
        return type(ours) is type(theirs) and len(ours) == len(theirs) and all(map(same, ours, theirs))
    if isinstance(theirs, np.ndarray):
        return ours.dtype == theirs.dtype and ours.shape == theirs.shape and np.array_equal(ours, theirs)
    return ours == theirs


def checkpoint():
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.LayerNorm(4), torch.nn.Embedding(5, 3))
    base = torch.arange(24.0).reshape(4, 6)
    return {
        "model": network.state_dict(),
        "parameter": torch.nn.Parameter(torch.ones(2)),
        "optimizer": {
            "state": {0: {"step": torch.tensor(3.0), "exp_avg": base[0]}},
            "param_groups": [{"betas": (0.9, 1)}],
        },
        "views": [base, base.T, base[1:3, ::2], base[2, 3], base[:0]],
        "kinds": {name: torch.arange(-3, 4).to(getattr(torch, name)) for name in NUMBERS},
        "size": base.shape,
        "plain": (1, -2, 2**70, 1.5, None, True, "ü", b"bytes", {1, 2}, collections.OrderedDict(a=1), complex(1, 2)),
    }


@pytest.mark.parametrize("zipped", [True, False])
def test_reads_what_torch_reads_from_both_of_its_formats(tmp_path, zipped):
    path = tmp_path / "whole.pt"
    torch.save(checkpoint(), path, _use_new_zipfile_serialization=zipped)
    ours, theirs = read(path), torch.load(path, weights_only=True)
    ours["plain"], theirs["plain"] = list(ours["plain"]), list(theirs["plain"])
    assert same({**ours, "size": tuple(ours["size"])}, {**theirs, "size": tuple(theirs["size"])})
    shared = ours["views"]
    assert shared[1].untyped_storage().data_ptr() == shared[0].untyped_storage().data_ptr()
    assert same(tensors_of(ours, "model"), dict(theirs["model"])) and not any(
        value.requires_grad for value in tensors_of(ours, "model").values()
    )


def test_weights_of_another_order_of_bytes_are_turned(tmp_path):
    path = tmp_path / "big.pt"
    values = {"a": torch.arange(5.0), "b": torch.arange(5, dtype=torch.int16)}
    torch.save(values, path)
    turned = tmp_path / "turned.pt"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(turned, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name.endswith("byteorder"):
                content = b"big"
            if "/data/" in name:
                size = 4 if name.endswith("/0") else 2
                content = np.frombuffer(content, f"u{size}").byteswap().tobytes()
            new.writestr(name, content)
    assert same(read(turned), values)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_pickles_of_numpy_and_plain_data_are_rebuilt(tmp_path, protocol):
    values = {
        "floats": np.arange(12.0).reshape(3, 4),
        "columns": np.asfortranarray(np.arange(6, dtype=">i4").reshape(2, 3)),
        "empty": np.zeros((0, 3), np.float32),
        "records": np.array([(1, 2.5), (3, 4.5)], np.dtype([("left", "<i8"), ("value", "<f8")], align=True)),
        "texts": np.array(["a", "üb"]),
        "objects": np.array(["one", None, 3], object),
        "scalars": [np.float64(1.5), np.int32(4), np.bool_(True)],
        "sets": (frozenset({1}), {"a"}, collections.defaultdict(list, b=[1]), bytearray(b"xy")),
    }
    path = tmp_path / "values.pkl"
    path.write_bytes(pickle.dumps(values, protocol))
    assert same(read(path), values)


@pytest.mark.parametrize("protocol", [0, 1, 2, 4, 5])
def test_foreign_classes_are_inert_with_what_they_held(tmp_path, protocol):
    path = tmp_path / "strange.pkl"
    path.write_bytes(pickle.dumps([Strange(), Strange, os.system, io.StringIO], protocol))
    made, kind, function, other = read(path)
    assert isinstance(made, Inert) and made.is_made and made.state == {"note": "kept"}
    assert made.names(Strange.__module__, "Strange") and kind.name == "Strange" and not kind.is_made
    assert function.names(os.system.__module__, "system") and other.name == "StringIO"
    assert "Strange" in repr(made)


@pytest.mark.parametrize("by_joblib", [True, False])
def test_a_forest_comes_as_plain_arrays(tmp_path, by_joblib):
    ensemble = pytest.importorskip("sklearn.ensemble")
    draw = np.random.default_rng(0)
    forest = ensemble.RandomForestClassifier(3, random_state=0).fit(draw.random((40, 5)), draw.integers(0, 2, 40))
    path = tmp_path / "forest.pkl"
    if by_joblib:
        joblib.dump(forest, path)
    else:
        path.write_bytes(pickle.dumps(forest, 4))
    found = read(path)
    assert found.name == "RandomForestClassifier" and np.array_equal(found.state["classes_"], forest.classes_)
    for ours, theirs in zip(found.state["estimators_"], forest.estimators_, strict=True):
        tree = ours.state["tree_"]
        assert tree.names("sklearn.tree._tree", "Tree") and tree.args[0] == 5
        nodes = tree.state["nodes"]
        assert np.array_equal(nodes["threshold"], theirs.tree_.threshold)
        assert np.array_equal(nodes["left_child"], theirs.tree_.children_left)
        assert np.array_equal(tree.state["values"], theirs.tree_.value)


def test_reading_imports_nothing(tmp_path):
    path = tmp_path / "module.pkl"
    path.write_bytes(b"ctest_inert_never_there\nthing\n(tR.")
    tried = []
    original = builtins.__import__

    def watched(name, *rest, **named):
        tried.append(name)
        return original(name, *rest, **named)

    builtins.__import__ = watched
    try:
        found = read(path)
    finally:
        builtins.__import__ = original
    assert found.module == "test_inert_never_there" and "test_inert_never_there" not in {*tried, *sys.modules}


# -- What strangers may send -----------------------------------------------------------------------------------------


class Calls:
    """Wants a function to be called as it is read."""

    def __init__(self, function, *arguments):
        self.wanted = function, arguments

    def __reduce__(self):
        return self.wanted


def zipped(path, data, storages=None, extra=()):
    """A file like torch.save's, of a pickle and storages as given."""
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("archive/data.pkl", data)
        packed.writestr("archive/version", "3\n")
        for name, content in [*(storages or {}).items(), *extra]:
            packed.writestr(name, content)
    return path


def tensor_pickle(count, size, stride=(1,), key="0", kind="FloatStorage"):
    """A pickle of one tensor, by hand, whose storage declares `count` numbers."""
    parts = [b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\n", kind.encode(), b"\n"]
    parts += [b"X", struct.pack("<I", len(key)), key.encode(), b"X\3\0\0\0cpu", pickle.dumps(count, 2)[2:-1], b"tQ"]
    parts += [b"K\0", pickle.dumps(tuple(size), 2)[2:-1], pickle.dumps(tuple(stride), 2)[2:-1], b"\x89NtR."]
    return b"".join(parts)


def refused(path, *words):
    """Reading is refused by one sentence with these words, and takes little memory."""
    tracemalloc.start()
    try:
        with pytest.raises(ModelError) as caught:
            read(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    said = str(caught.value)
    assert said.startswith(path.name[:20]) and said.endswith(".") and "\n" not in said and len(said) < 400
    assert all(word in said for word in words), said
    assert peak < 40 * 2**20
    return said


@pytest.mark.parametrize("wrap", ["pickle", "zip", "stream", "joblib"])
def test_nothing_runs(tmp_path, wrap):
    marker = tmp_path / "ran"
    calls = [
        Calls(os.system, f"touch {marker}"),
        Calls(eval, f"open({str(marker)!r}, 'w')"),
        Calls(exec, f"open({str(marker)!r}, 'w')"),
        Calls(open, str(marker), "w"),
        Calls(__import__, "this"),
        Calls(map, os.mkdir, (str(marker),)),
        Calls(torch.load, str(marker)),
        Strange(),
    ]
    path = tmp_path / "bad.pt"
    values = {"model": {"weight": torch.ones(2)}, "calls": calls} if wrap in ("zip", "stream") else calls
    if wrap in ("zip", "stream"):
        torch.save(values, path, _use_new_zipfile_serialization=wrap == "zip")
    elif wrap == "joblib":
        joblib.dump(values, path)
    else:
        path.write_bytes(pickle.dumps(values))
    found = read(path)
    made = found["calls"] if isinstance(found, dict) else found
    assert not marker.exists() and all(isinstance(one, Inert) for one in made)
    assert made[0].name == "system" and made[0].args == (f"touch {marker}",)
    if isinstance(found, dict):
        assert torch.equal(tensors_of(found, "model")["weight"], torch.ones(2))


def test_a_pickle_within_a_pickle_stays_shut(tmp_path):
    marker = tmp_path / "ran"
    inner = pickle.dumps(Calls(os.system, f"touch {marker}"))
    path = tmp_path / "inner.pkl"
    path.write_bytes(pickle.dumps([Calls(pickle.loads, inner), Calls(torch.storage._load_from_bytes, inner), inner]))
    one, other, bytes_ = read(path)
    assert one.args == other.args == (inner,) and bytes_ == inner and not marker.exists()


def test_huge_tensors_are_refused_before_they_are_made(tmp_path):
    huge = 10**12
    path = tmp_path / "huge.pt"
    zipped(path, tensor_pickle(huge, (huge,)), {"archive/data/0": bytes(40)})
    refused(path, "declares 4,000,000,000,000 bytes", "holds 40")
    zipped(path, tensor_pickle(10, (10**6, 10**6), (0, 0)), {"archive/data/0": bytes(40)})
    refused(path, "a tensor of 1,000,000,000,000 numbers in a storage of 10")
    zipped(path, tensor_pickle(10, (11,)), {"archive/data/0": bytes(40)})
    refused(path, "a tensor of 11 numbers in a storage of 10")
    zipped(path, tensor_pickle(10, (10,)))
    refused(path, "lacks its storage 0")
    zipped(path, tensor_pickle(10, (2,), (-1,)), {"archive/data/0": bytes(40)})
    refused(path, "crooked")
    zipped(path, tensor_pickle(10, (10,), key="../../etc/passwd"), {"archive/data/0": bytes(40)})
    refused(path, "lacks its storage")
    zipped(path, tensor_pickle(10, (10,), kind="QInt8Storage"), {"archive/data/0": bytes(40)})
    refused(path, "QInt8Storage")


def test_huge_arrays_and_bytes_are_refused_before_they_are_made(tmp_path):
    path = tmp_path / "huge.pkl"
    path.write_bytes(b"\x80\x04\x8e" + struct.pack("<Q", 2**50) + b"abc.")
    refused(path, "cut short", "1,125,899,906,842,624")
    content = pickle.dumps(np.arange(1000.0), 4)
    path.write_bytes(content.replace(b"M\xe8\x03", b"J\xff\xff\xff\x7f"))
    refused(path, "declares an array of 17,179,869,176 bytes and holds 8,000")
    path.write_bytes(b"\x80\x02\x8b" + struct.pack("<i", 10**6) + b"\x7f" * 10**6 + b".")
    refused(path, "integer")
    many = b"\x80\x02X" + struct.pack("<I", 2**20) + b"a" * 2**20 + b"q\0" + b"0c_codecs\nencode\nq\1"
    path.write_bytes(many + b"h\1h\0X\6\0\0\0latin1\x86R" * 1000 + b".")
    refused(path, "makes more than 4 times")


def test_bombs_of_instructions_and_nesting_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "bomb.pkl"
    path.write_bytes(b"\x80\x02]" + b"\x85" * 20_000 + b".")
    refused(path, "nested deeper than 200 levels")
    path.write_bytes(b"\x80\x02K\1" + b"2\x86" * 60 + b"}" + b"2" * 3 + b".")  # doubled sixty times: not counted twice
    assert read(path) == {}
    path.write_bytes(b"\x80\x02}K\1" + b"2\x86" * 60 + b"K\2s.")  # as a key, its hash would take ages
    refused(path, "keys that are nested too deep")
    laughs = ["lol"]
    for _ in range(40):
        laughs = [laughs] * 10
    path.write_bytes(pickle.dumps(laughs))
    assert len(read(path)) == 10
    monkeypatch.setattr(machine, "MOST_STEPS", 1000)
    path.write_bytes(b"\x80\x02" + b"]" * 2000 + b".")
    refused(path, "more than 1,000 instructions")


def test_zips_that_torch_would_not_write_are_refused(tmp_path):
    path = tmp_path / "packed.pt"
    fine = tensor_pickle(10, (10,))
    for name in ("archive/../../evil", "/etc/passwd", "archive/..\\evil", "c:/evil"):
        zipped(path, fine, {"archive/data/0": bytes(40)}, [(name, b"")])
        refused(path, "path")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("archive/data/0", bytes(50 * 2**20))
        packed.writestr("archive/data.pkl", fine)
    refused(path, "compressed", "'archive/data/0'", "declare 52,428,800")
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("notes.txt", "no weights")
    refused(path, "none that torch.save wrote")
    with pytest.warns(UserWarning, match="Duplicate"):
        zipped(path, fine, {"archive/data/0": bytes(40)}, [("archive/data/0", bytes(40))])
    refused(path, "two entries")
    zipped(path, fine, {"archive/data/0": bytes(40)}, [("archive/constants.pkl", b"")])
    refused(path, "TorchScript")
    path.write_bytes(b"PK\3\4 is no zip file at all")
    refused(path, "without its end")
    zipped(path, fine, {"archive/data/0": bytes(40)})
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    refused(path, "without its end")
    path.write_bytes(whole[:-10] + struct.pack("<I", 2**32 - 1) + whole[-6:])
    refused(path, "declares a directory of 4,294,967,295 bytes")
    # An entry that lies within another one, as in bombs whose entries share their bytes.
    at = whole.rindex(b"PK\1\2") + 42
    path.write_bytes(whole[:at] + struct.pack("<I", 0) + whole[at + 4 :])
    refused(path, "not where its directory says")


def test_every_cut_of_a_file_is_refused_by_a_sentence(tmp_path):
    for zip_format in (True, False):
        path = tmp_path / "cut.pt"
        torch.save({"a": torch.arange(4.0), "b": [1, "two"]}, path, _use_new_zipfile_serialization=zip_format)
        whole = path.read_bytes()
        for length in range(0, len(whole) - 1, 37):
            path.write_bytes(whole[:length])
            with pytest.raises(ModelError, match=r"^cut\.pt .*\.$"):
                read(path)


def test_flipped_bytes_give_data_or_a_sentence(tmp_path):
    draw = np.random.default_rng(1)
    for zip_format in (True, False):
        path = tmp_path / "flipped.pt"
        torch.save({"a": torch.arange(4.0), "b": [1, np.arange(3.0)]}, path, _use_new_zipfile_serialization=zip_format)
        whole = np.frombuffer(path.read_bytes(), np.uint8)
        for _ in range(150):
            crooked = whole.copy()
            crooked[draw.integers(0, len(crooked), 3)] = draw.integers(0, 256, 3)
            path.write_bytes(crooked.tobytes())
            try:
                read(path)
            except ModelError as error:
                assert str(error).startswith("flipped.pt ")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"<!DOCTYPE html><html></html>", "web page"),
        (b"\x1f\x8b\x08 packed", "gzip"),
        (b"x\x9c packed", "compress=0"),
        (b"just some words\n", "no checkpoint"),
        (b"\x80\x02\x82\x01.", "instruction"),
        (b"\x80\x02X\1\0\0\0aQ.", "no storage"),
        (tensor_pickle(10, (10,)), "data beside it"),
        (b"\x80\x02.", "crooked"),
        (b"\x80\x02h\5.", "crooked"),
        (b"\x80\x02", "cut short"),
    ],
)
def test_other_files_are_named(tmp_path, content, words):
    path = tmp_path / "other.pt"
    path.write_bytes(content)
    refused(path, words)


def test_what_is_no_file_and_what_is_too_large(tmp_path):
    refused(tmp_path / "nothing.pt", "not there")
    refused(tmp_path, "a folder")
    path = tmp_path / "large.pt"
    path.write_bytes(bytes(100))
    with pytest.raises(ModelError, match="has 100 bytes, more than the 50"):
        read(path, 50)


def test_weights_are_named_where_they_are_not(tmp_path):
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps({"ema": {"a": 1}, "whole": Strange()}))
    found = read(path)
    for keys, words in [
        (("model",), "holds no 'model', but ema, whole"),
        (("ema",), "no tensor at 'a'"),
        (("whole",), "an object of the class"),
    ]:
        with pytest.raises(ModelError, match=words):
            tensors_of(found, *keys)
