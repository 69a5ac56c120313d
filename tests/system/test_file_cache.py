"""What is kept of files, and what makes it be read again."""

import os

import pytest

from superdiff_engine.system.file_cache import file_cached


@pytest.fixture
def reader(tmp_path):
    """(folder, function that reads all of it, what it has read so far)."""
    folder, read = tmp_path / "model", []
    (folder / "unet").mkdir(parents=True)
    (folder / "config.json").write_text("one")
    (folder / "unet" / "weights").write_text("1234")

    @file_cached(2)
    def load(place, device="cpu"):
        text = (place / "unet" / "weights").read_text() + device
        read.append(text)
        return text

    return folder, load, read


def in_place(path):
    """The same inode, size and time of writing, as `cp` and `touch -r` leave it."""
    before = path.stat()
    with open(path, "r+b") as file:
        file.write(b"9999")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_ino, path.stat().st_size, path.stat().st_mtime_ns) == (
        before.st_ino, before.st_size, before.st_mtime_ns
    )  # fmt: skip


def by_another(path):
    """Another file of the same size and time in its place, as rsync leaves it."""
    other = path.with_name("other")
    other.write_text("9999")
    os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    os.replace(other, path)


@pytest.mark.parametrize("write", [in_place, by_another, lambda path: path.write_text("9999")])
def test_a_file_that_was_written_is_read_again(reader, write):
    folder, load, read = reader
    assert load(folder) == load(folder, "cpu") == load(folder, device="cpu") == "1234cpu" and len(read) == 1
    write(folder / "unet" / "weights")
    assert load(folder) == load(folder) == "9999cpu" and len(read) == 2


def test_files_that_come_and_go_count(reader):
    folder, load, read = reader
    load(folder)
    (folder / "unet" / "more").write_text("")
    load(folder)
    (folder / "config.json").unlink()
    load(folder)
    assert len(read) == 3


def test_parts_elsewhere_are_followed(reader, tmp_path):
    folder, load, _ = reader
    (folder / "unet").rename(tmp_path / "elsewhere")
    (folder / "unet").symlink_to(tmp_path / "elsewhere")
    load(folder)
    in_place(tmp_path / "elsewhere" / "weights")
    assert load(folder) == "9999cpu"


def test_only_so_many_are_kept_and_the_longest_unused_goes(reader):
    folder, load, read = reader
    for device in ("a", "b", "a", "c", "a", "b"):
        load(folder, device)
    assert read == ["1234a", "1234b", "1234c", "1234b"]
    load.cache_clear()
    load(folder, "b")
    assert len(read) == 5


def test_named_files_alone_count(tmp_path):
    read = []
    load = file_cached(1, "a")(read.append)
    (tmp_path / "a").write_text("a")
    load(tmp_path)
    (tmp_path / "b").write_text("b")
    load(tmp_path)
    assert len(read) == 1
    (tmp_path / "a").unlink()
    load(tmp_path)
    assert len(read) == 2


def test_a_failure_is_not_kept(tmp_path):
    @file_cached(1)
    def load(place):
        raise ValueError(place)

    for _ in range(2):
        with pytest.raises(ValueError):
            load(tmp_path)
