"""Directories with checksums: nothing that was altered is taken for what was written."""

import os

import pytest

from loop.storage.checksums import Damaged, Sealed


@pytest.fixture
def sealed(tmp_path):
    made = Sealed(tmp_path / "data", tmp_path / "checksums" / "data.json")
    (made.path / "a" / "deep").mkdir(parents=True)
    for name, content in {
        "top": b"0",
        "a/one": bytes(range(256)),
        "a/empty": b"",
        "a/deep/two": b"xy" * 50_000,
    }.items():
        (made.path / name).write_bytes(content)
    made.seal()
    return made


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def test_what_was_written_passes(sealed):
    assert sealed.exists()
    assert set(sealed.files()) == {"top", "a/one", "a/empty", "a/deep/two"}
    assert sealed.holds("a") and not sealed.holds("top") and not sealed.holds("b")
    sealed.check()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda p: p.write_bytes(flipped(p.read_bytes(), p.stat().st_size // 2)), "SHA-256"),
        (lambda p: p.write_bytes(p.read_bytes()[:-1]), "bytes, "),
        (lambda p: p.write_bytes(p.read_bytes() + b"x"), "bytes, "),
        (lambda p: p.unlink(), "is missing"),
        (lambda p: (p.unlink(), p.mkdir()), "damaged|cannot be read"),
    ],
)
@pytest.mark.parametrize("name", ["top", "a/one", "a/deep/two"])
def test_an_altered_file_is_named(sealed, name, change, said):
    change(sealed.path / name)
    with pytest.raises(Damaged, match=f"{name} .*({said})|{name} is missing"):
        sealed.check()
    sealed.check(lambda file: file != name)  # what is not read is not looked at


def test_a_file_that_cannot_be_read_is_named(sealed):
    (sealed.path / "top").unlink()
    (sealed.path / "top").symlink_to("top")  # a loop, which stops root as well
    with pytest.raises(Damaged, match="top cannot be read: Too many levels"):
        sealed.check()


def test_every_byte_of_the_manifest_counts(sealed):
    data, files = sealed.manifest.read_bytes(), sealed.files()
    for at in range(len(data)):
        sealed.manifest.write_bytes(flipped(data, at))
        try:
            assert sealed.files() == files  # white space
        except Damaged as error:
            assert str(sealed.manifest) in str(error)
    for size in range(len(data) - 1):
        sealed.manifest.write_bytes(data[:size])
        with pytest.raises(Damaged):
            sealed.files()


def test_without_a_manifest_it_is_incomplete(sealed):
    sealed.manifest.unlink()
    assert not sealed.exists()
    with pytest.raises(Damaged, match=r"data\.json cannot be read"):
        sealed.check()


def test_removed_is_gone_manifest_first(sealed, monkeypatch):
    def stop(*args, **kwargs):
        assert not sealed.manifest.exists()
        raise OSError("stop")

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", stop)
        with pytest.raises(OSError, match="stop"):
            sealed.remove()
    assert not sealed.exists()
    sealed.remove()
    sealed.remove()
    assert [p.name for p in sealed.path.parent.iterdir()] == ["checksums"]
