"""`init` on XProtect's folders: one bank or several, what its cameras are called, and the zone of its folder names."""

import shutil
from pathlib import Path

import pytest

from backfill.detect import detect
from recorder_sync.cli.init import configuration, shared_names, unmatched
from schema.errors import NothingToDetect
from schema.settings import parse
from schema.spans import HOUR, MINUTE
from tests.make import T0
from tests.xprotect import BANK, FRONT, YARD, Recorder, export, utc

OTHER = "5d0c2f9e-7a6b-4c3d-9e8f-0a1b2c3d4e5f"


def bank(path: Path, devices: dict[str, str] | None = None, zone: str = "Europe/Berlin", start: int = T0) -> Recorder:
    recorder = Recorder(path, devices or {FRONT: "Shoe Store", YARD: "Yard & gate"}, zone=zone)
    for device in recorder.devices:
        recorder.hours(device, start, 3)
    recorder.record(FRONT, start + 3 * HOUR, start + 3 * HOUR + MINUTE)
    return recorder


def test_a_bank_is_recognised_with_its_cameras_and_zone(tmp_path: Path) -> None:
    bank(tmp_path / BANK, zone="America/New_York")
    found = detect(str(tmp_path / BANK), "Europe/Berlin")
    assert (found.layout, found.root, dict(found.options)) == ("xprotect", str(tmp_path / BANK), {})
    assert found.cameras == ("Shoe Store", "Yard & gate")
    assert dict(found.named) == {FRONT: "Shoe Store", YARD: "Yard & gate"}
    assert found.zone == "Etc/GMT+5", "three hours of one season tell no more of New York"
    assert found.files == 6


def test_the_folder_of_several_banks_is_recognised(tmp_path: Path) -> None:
    bank(tmp_path / BANK)
    bank(tmp_path / "2c2b1d6e-0d1a-4a44-8a7e-5b9a1c0f7702")
    found = detect(str(tmp_path), "Europe/Berlin")
    assert (found.layout, dict(found.options), found.files) == ("xprotect", {"banks": "several"}, 12)


def test_what_is_no_table_is_counted(tmp_path: Path) -> None:
    bank(tmp_path / BANK)
    (tmp_path / BANK / "New folder").mkdir()
    [note] = [one for one in detect(str(tmp_path / BANK), "Europe/Berlin").notes if "left alone" in one]
    assert note == "1 folder is none of this recorder's and will be left alone, such as New folder"


def test_a_bank_without_its_index_is_still_one(tmp_path: Path) -> None:
    recorder = bank(tmp_path / BANK)
    (recorder.bank / "cache.xml").unlink()
    found = detect(str(recorder.bank), "Europe/Berlin")
    assert (found.layout, found.cameras) == ("xprotect", (YARD, FRONT))


def test_an_index_that_cannot_be_read_is_noted(tmp_path: Path) -> None:
    recorder = bank(tmp_path / BANK)
    recorder.write_cache(T0, stop_half=True)
    found = detect(str(recorder.bank), "Europe/Berlin")
    assert any("cannot be read now: it does not end where it should" in note for note in found.notes)


def test_a_bank_that_only_begins_is_not_looked_into(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / BANK)
    recorder.record(FRONT, T0, T0 + MINUTE)
    (recorder.bank / FRONT / "cache.xml").write_text("<bank/>")  # would be found if a live table were looked into
    with pytest.raises(NothingToDetect):
        detect(str(recorder.bank), "Europe/Berlin")


def test_an_export_is_never_guessed(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "recorder")
    recorder.hours(FRONT, T0, 1)
    export(recorder, tmp_path / "export")
    found = detect(str(tmp_path / "export"), "Europe/Berlin")
    assert (found.layout, dict(found.options)) == ("xprotect", {})
    assert any("or this is an export" in note for note in found.notes)


def test_the_latest_name_of_a_device_counts(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / BANK)
    recorder.hours(FRONT, T0, 2)
    text = (recorder.bank / "cache.xml").read_text()
    (recorder.bank / "cache.xml").write_text(text.replace("Shoe Store", "Old name", 1))
    assert detect(str(recorder.bank), "UTC").cameras == ("Shoe Store",)


@pytest.mark.parametrize("start", ["2026-10-24 22:00", "2026-03-28 22:00"])
def test_the_zone_follows_across_a_clock_change(start: str, tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / BANK, zone="Europe/Berlin")
    recorder.hours(FRONT, utc(start), 8)
    assert detect(str(recorder.bank), "Europe/Berlin").zone == "Europe/Berlin"


def test_the_configuration_names_cameras_as_the_recorder_does(tmp_path: Path) -> None:
    for name, devices in (
        ("a", {FRONT: "Shoe Store", YARD: 'Yard "north"'}),
        ("b", {FRONT: "Shoe shop", OTHER: 'Yard "north"'}),
    ):
        bank(tmp_path / name / BANK, devices)
    found = [detect(str(tmp_path / name), "Europe/Berlin") for name in ("a", "b")]
    settings = parse(configuration(["a", "b"], found).encode(), tmp_path / "recorder-sync.toml")
    one, other = settings.servers
    assert one.cameras == {FRONT: "Shoe Store", YARD: 'Yard "north"'}
    assert other.cameras == {FRONT: "Shoe Store", OTHER: 'Yard "north"'}, "one GUID is one camera"
    assert one.storages[0].options == {"banks": "several"}
    assert one.storages[0].layout == "xprotect"


def test_a_name_that_two_cameras_have_is_none(tmp_path: Path) -> None:
    bank(tmp_path / BANK, {FRONT: "Camera 1", YARD: "Camera 1"})
    found = detect(str(tmp_path / BANK), "Europe/Berlin")
    assert shared_names([found]) == {}


def test_a_first_word_that_is_another_cameras_there_is_none(tmp_path: Path) -> None:
    bank(tmp_path / "a" / BANK, {FRONT: "Yard", YARD: "Gate"})
    shutil.rmtree(tmp_path / "a" / BANK / FRONT, ignore_errors=True)
    bank(tmp_path / "b" / BANK, {FRONT: "Front", OTHER: "Yard"})
    found = [detect(str(tmp_path / name / BANK), "Europe/Berlin") for name in ("a", "b")]
    assert shared_names(found) == {YARD: "Gate"}


def test_cameras_that_may_be_one_under_two_names_are_said(tmp_path: Path) -> None:
    """With different ids and different names nobody but a person can tell; with one id the first one's name counts."""
    bank(tmp_path / "a" / BANK, {FRONT: "Shoe Store", YARD: "Yard & gate"})
    bank(tmp_path / "b" / BANK, {FRONT: "Schuhe", OTHER: "Hof"})
    a, b = (detect(str(tmp_path / name / BANK), "Europe/Berlin") for name in "ab")
    [one], [other] = unmatched([a, b])
    assert one.startswith("no other server has Yard & gate; ") and other.startswith("no other server has Hof; ")
    assert unmatched([a, a]) == [[], []] and unmatched([a]) == [[]]
    bank(tmp_path / "c" / BANK, {FRONT: "Shoe Store"})
    fewer = detect(str(tmp_path / "c" / BANK), "Europe/Berlin")
    assert unmatched([a, fewer]) == [[], []], "what only one has may well be a camera that the other never had"
