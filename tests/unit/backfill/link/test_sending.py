"""What leaves: the file from an offset on with a digest behind each chunk, or the reason why not."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backfill.link import sending
from backfill.link.queries import FileAsked
from backfill.link.sending import buffer, pieces
from schema.digests import DIGEST_BYTES, hasher
from schema.errors import SourceChanged

CONTENT = bytes(range(251)) * 40


def answer(path: Path, offset: int, chunk: int) -> tuple[bytes, bytes]:
    """Return the head and the body of what is sent."""
    info = path.stat()
    file = FileAsked(
        storage="main", path="x", name="", size=info.st_size, mtime_ns=info.st_mtime_ns, offset=offset, chunk=chunk
    )
    fd = os.open(path, os.O_RDONLY)
    try:
        head, *blocks = [bytes(piece) for piece in pieces(fd, file, buffer())]
    finally:
        os.close(fd)
    return head, b"".join(blocks)


def expected(content: bytes, chunk: int) -> bytes:
    whole = b""
    for at in range(0, len(content), chunk):
        state = hasher()
        state.update(content[at : at + chunk])
        whole += content[at : at + chunk] + state.digest()
    return whole


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("sending") / "x.mp4"
    found.write_bytes(CONTENT)
    return found


@settings(max_examples=200, deadline=None)
@given(offset=st.integers(0, len(CONTENT)), chunk=st.integers(1, 12_000), block=st.integers(1, 3000))
def test_every_chunk_is_followed_by_its_digest_and_nothing_else(
    path: Path, offset: int, chunk: int, block: int
) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sending, "BLOCK", block)
        head, body = answer(path, offset, chunk)
    assert body == expected(CONTENT[offset:], chunk)
    assert f"Content-Length: {len(body)}\r\n".encode() in head
    assert head.startswith(b"HTTP/1.1 200 OK\r\n") and head.endswith(b"\r\n\r\n")


def test_a_disk_that_gives_less_than_it_was_asked_for_is_asked_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.preadv
    monkeypatch.setattr(sending.os, "preadv", lambda fd, views, at: real(fd, [views[0][:100]], at))
    assert answer(path, 7, 4000)[1] == expected(CONTENT[7:], 4000)


@pytest.mark.parametrize("size", [len(CONTENT) - 1, len(CONTENT) + 1, 0])
def test_the_end_of_a_file_that_is_not_what_was_asked_for_is_never_sent(
    size: int, path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sending, "BLOCK", 3000)
    other = tmp_path / "y.mp4"
    other.write_bytes(CONTENT)
    info = other.stat()
    file = FileAsked(
        storage="main", path="y", name="", size=len(CONTENT), mtime_ns=info.st_mtime_ns, offset=0, chunk=65536
    )
    sent = 0
    with open(other, "rb") as opened:
        going = pieces(opened.fileno(), file, buffer())
        next(going)
        os.truncate(other, size)
        os.utime(other, ns=(info.st_mtime_ns, info.st_mtime_ns))
        with pytest.raises(SourceChanged):
            for piece in going:
                sent += len(piece)
    assert sent < len(CONTENT) + DIGEST_BYTES


def test_nothing_is_said_of_a_file_that_is_not_what_was_asked_for(path: Path) -> None:
    file = FileAsked(storage="main", path="x", name="", size=len(CONTENT), mtime_ns=1, offset=len(CONTENT), chunk=65536)
    with open(path, "rb") as opened, pytest.raises(SourceChanged):
        next(pieces(opened.fileno(), file, buffer()))


def test_a_block_fills_whole_records() -> None:
    assert sending.BLOCK % 16384 == 0
    assert len(buffer()) == sending.BLOCK + DIGEST_BYTES
