"""A journal of steps: what was said to be written is there, and what was said not to be is not."""

import errno
import os
from pathlib import Path

import msgspec
import pytest

import recorder_sync.lines as lines
from recorder_sync.lines import Lines
from schema.errors import ImportNotesDamaged, ImportNotWritten


class Step(msgspec.Struct):
    text: str


def journal(folder: Path) -> Lines[Step]:
    path = str(folder / "deep" / "steps.jsonl")
    return Lines(path, Step, damaged=ImportNotesDamaged, unwritten=ImportNotWritten)


def texts(folder: Path) -> list[str]:
    return [one.text for one in journal(folder).entries()]


def test_steps_are_read_as_they_were_written(tmp_path: Path) -> None:
    assert texts(tmp_path) == []
    for text in ("one", "two\nlines\u2028", "three"):
        journal(tmp_path).add(Step(text))
    assert texts(tmp_path) == ["one", "two\nlines\u2028", "three"]


@pytest.mark.parametrize("failing", ["fsync", "sync_folder"])
def test_a_step_that_could_not_be_made_durable_was_not_taken(
    tmp_path: Path, failing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever was told so does not take it: it must not be found there the next time."""
    journal(tmp_path).add(Step("one"))

    def fails(_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(*((os, "fsync") if failing == "fsync" else (lines, "sync_folder")), fails)
        with pytest.raises(ImportNotWritten, match="Input/output error"):
            journal(tmp_path).add(Step("two"))
    assert texts(tmp_path) == ["one"]
    journal(tmp_path).add(Step("three"))
    assert texts(tmp_path) == ["one", "three"]
