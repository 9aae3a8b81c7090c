"""The command line as an operator uses it: every command, its exit status, its JSON, and what it says of bad input.

What must hold: stdout holds results and nothing else, an error is one sentence with what to do, and nothing is touched.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from schema import documents
from tests import make

Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """Two Frigate servers; `a` lacks 12:01:00 to 12:02:00 of `front`, nobody has 12:03:00 to 12:03:30."""
    for server, missing in (("a", range(60, 120, 10)), ("b", ())):
        lost = range(180, 210, 10)
        starts = [start for start in make.tens(0, 600) if start not in missing and start not in lost]
        make.record(tmp_path / server / "recordings", "front", starts, seed=ord(server))
    (tmp_path / "recorder-sync.toml").write_text(make.config_text("a", "b"))
    return tmp_path


def decoded(done: subprocess.CompletedProcess[str], kind: type[msgspec.Struct]):  # type: ignore[no-untyped-def]
    return msgspec.json.decode(done.stdout, type=kind)


def test_help_and_version_answer(cli: Cli) -> None:
    assert cli("--version").stdout.startswith("recorder-sync ")
    listing = cli("--help")
    assert listing.returncode == 0
    for name in ("demo", "init", "scan", "coverage", "gaps", "fill", "verify", "status", "doctor", "layouts"):
        assert name in listing.stdout
        assert cli(name, "--help").returncode == 0


def test_the_doctor_says_what_to_do_and_exits_by_problems_alone(cli: Cli, two: Path) -> None:
    healthy = cli("doctor", "--json")
    assert healthy.returncode == 0, "warnings do not count"
    found = decoded(healthy, documents.DoctorDocument)
    assert found.problems == 0
    assert [one.verdict for one in found.findings if one.subject == "a/main"] == ["ok", "warning", "ok"]
    (two / "a").rename(two / "away")
    ill = cli("doctor")
    assert ill.returncode == 1
    assert "a/main" in ill.stdout
    assert "what to do" in ill.stdout


def test_from_gaps_to_filled(cli: Cli, two: Path) -> None:
    before = cli("gaps", "--json")
    assert before.returncode == 1
    found = decoded(before, documents.GapsDocument).gaps
    assert {(gap.server, gap.state, gap.seconds) for gap in found} == {
        ("a", "fillable", 60.0),
        ("a", "lost", 30.0),
        ("b", "lost", 30.0),
    }
    planned = cli("fill", "--dry-run", "--json")
    assert planned.returncode == 0, "nothing is refused"
    assert not list((two / "a").rglob("*.part"))
    filled = cli("fill", "--json")
    assert filled.returncode == 0
    fills = decoded(filled, documents.FillsDocument).fills
    assert [len(fill.segments) for fill in decoded(planned, documents.FillsDocument).fills] == [
        len(fill.segments) for fill in fills
    ]
    assert fills[0].filled_seconds == 60.0
    again = decoded(cli("fill", "--json"), documents.FillsDocument).fills
    assert [fill.sent for fill in again] == [0, 0]
    states = {gap.state for gap in decoded(cli("gaps", "--json"), documents.GapsDocument).gaps}
    assert states == {"filled", "lost"}


def test_lost_time_alone_keeps_the_exit_status_at_one_and_since_leaves_it_out(cli: Cli, two: Path) -> None:
    cli("fill")
    assert cli("gaps").returncode == 1
    assert cli("gaps", "--since", "2026-11-22T12:05:00Z", "--until", "2026-11-22T12:10:00Z").returncode == 0


def test_coverage_lists_own_and_filled_spans(cli: Cli, two: Path) -> None:
    cli("fill")
    spans = decoded(cli("coverage", "--json", "--no-scan"), documents.CoverageDocument).spans
    # After the time that nobody recorded each brings the other's first file too: it may begin before its name.
    assert {(span.server, span.origin) for span in spans} == {("a", "own"), ("a", "b"), ("b", "own"), ("b", "a")}
    hoped = [span for span in spans if (span.server, span.origin) == ("b", "a")]
    assert [span.start for span in hoped] == ["2026-11-22T12:03:30.000000Z"]
    table = cli("coverage", "--no-scan")
    assert table.returncode == 0
    assert "from b" in table.stdout


def test_status_needs_no_scan_and_tells_what_is_open(cli: Cli, two: Path) -> None:
    unseen = cli("status", "--json")
    assert decoded(unseen, documents.StatusDocument).notes == [
        "No recordings are known yet: no storage was ever scanned. Run 'recorder-sync scan'.",
        "a/main was never scanned",
        "b/main was never scanned",
    ]
    cli("scan")
    status = cli("status", "--json")
    assert status.returncode == 1
    camera = next(one for one in decoded(status, documents.StatusDocument).cameras if one.server == "a")
    assert (camera.fillable, camera.lost) == (60.0, 30.0)
    assert "fillable" in cli("status").stdout


def test_every_table_has_json_and_every_document_its_schema(cli: Cli, two: Path) -> None:
    for arguments, kind in (
        (["scan"], documents.ScansDocument),
        (["coverage"], documents.CoverageDocument),
        (["gaps"], documents.GapsDocument),
        (["fill"], documents.FillsDocument),
        (["verify"], documents.VerifyDocument),
        (["status"], documents.StatusDocument),
    ):
        done = cli(*arguments, "--json")
        assert decoded(done, kind) is not None, arguments
    assert json.loads(cli("layouts", "--json").stdout)["layouts"]


def test_reports_are_written_as_pages(cli: Cli, two: Path) -> None:
    cli("gaps", "--html", "r.html", "--svg", "r.svg")
    html, svg = (two / "r.html").read_text("utf-8"), (two / "r.svg").read_text("utf-8")
    for page in (html, svg):
        assert "fillable" in page
        assert "nvr" not in page
        assert "http://" not in page.replace("http://www.w3.org/", "")
        assert "https://" not in page, "a page must not fetch anything"
    cli("status", "--html", "s.html")
    assert "segments" in (two / "s.html").read_text("utf-8")


def test_results_go_to_stdout_and_nothing_else(cli: Cli, two: Path) -> None:
    done = cli("gaps")
    assert "\x1b" not in done.stdout
    assert "scanning" not in done.stdout
    assert all(len(line) <= 100 for line in done.stdout.splitlines())


def test_without_a_terminal_json_is_one_line_and_stderr_is_silent(cli: Cli, two: Path) -> None:
    for command in (["scan"], ["gaps"], ["fill", "--dry-run"], ["fill"], ["verify"], ["status"]):
        done = cli(*command, "--json")
        assert done.stdout.count("\n") == 1, command
        assert json.loads(done.stdout)
        assert done.stderr == "", command


def test_verify_finds_rot_in_the_recorders_own_file_and_does_not_touch_it(cli: Cli, two: Path) -> None:
    assert cli("verify").returncode == 0
    victim = two / "a/recordings" / make.frigate_path("front", make.T0)
    content = bytearray(victim.read_bytes())
    content[-1] ^= 1
    when = victim.stat().st_mtime_ns
    victim.write_bytes(content)
    os.utime(victim, ns=(when, when))
    done = cli("verify", "--repair", "--yes", "--json")
    assert done.returncode == 1
    [damage] = decoded(done, documents.VerifyDocument).damage
    assert (damage.kind, damage.server, damage.repaired) == ("rot", "a", False)
    assert victim.read_bytes() == bytes(content)


def test_verify_fetches_a_damaged_copy_again(cli: Cli, two: Path) -> None:
    cli("fill")
    victim = two / "a/recordings" / make.frigate_path("front", make.T0 + 70 * 1_000_000)
    good, when = victim.read_bytes(), victim.stat().st_mtime_ns
    victim.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    os.utime(victim, ns=(when, when))
    assert cli("verify").returncode == 1
    assert cli("verify", "--repair").returncode == 2, "without a terminal it must not ask"
    done = cli("verify", "--repair", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert victim.read_bytes() == good
    assert list((two / "a").rglob("quarantine/*"))
    assert cli("verify").returncode == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[fill]\nreserv = '1 GB'", "unknown key 'reserv'; did you mean 'reserve'?"),
        ("[fill]\nreserve = '1 furlong'", "'1 furlong' is not a size"),
        ("[fill]\nreserve = 5", "needs quotes and a unit"),
        ("[gaps", "it is not TOML"),
        ("", "key 'servers' is missing"),
        ('[[servers]]\nname = "a"\n[[servers.storages]]\nroot = "x"\nlayout = "frigat"', "did you mean 'frigate'?"),
        (
            '[[servers]]\nname = "a"\n[[servers.storages]]\nroot = "x"\nlayout = "motion"\nzone = "Europe/Berlim"',
            "did you mean 'Europe/Berlin'?",
        ),
    ],
)
def test_a_wrong_configuration_is_named_with_file_place_and_cure(
    cli: Cli, tmp_path: Path, text: str, said: str
) -> None:
    (tmp_path / "recorder-sync.toml").write_text(text)
    done = cli("gaps")
    assert done.returncode == 2
    assert said in done.stderr
    assert not done.stdout
    assert "Traceback" not in done.stderr


def test_without_a_configuration_it_says_how_to_get_one(cli: Cli) -> None:
    done = cli("gaps")
    assert done.returncode == 3
    assert "recorder-sync init" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("gaps", "--since", "yesteryear"), 2, "'yesteryear' is not a time"),
        (("gaps", "--since", "2036-11-22"), 2, "2036-11-22 is in the future"),
        (("gaps", "--since", "1h", "--until", "2h"), 2, "1h is not before 2h"),
        (("gaps", "--camera", "frnt"), 4, "known: front"),
        (("gaps", "--server", "c"), 4, "known: a, b"),
        (("fill", "--server", "c"), 4, "known: a, b"),
        (("fill", "--bandwidth", "fast"), 2, "'fast' is not a rate"),
        (("verify", "--rate", "0 MB/s"), 2, "is not a rate"),
        (("verify", "--rate", "-3 MB/s"), 2, "'-3 MB/s' is not a rate"),
        (("gaps", "--colour"), 2, "No such option"),
    ],
)
def test_wrong_arguments_are_said(cli: Cli, two: Path, arguments: tuple[str, ...], code: int, said: str) -> None:
    cli("scan")
    done = cli(*arguments)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False)
    assert said in done.stderr


def test_verify_tells_foreign_files_by_reason_and_calls_them_no_damage(cli: Cli, two: Path) -> None:
    for name in ("one.txt", "other.txt", "third.txt"):
        (two / "a" / "recordings" / name).write_text("not a recording")
    done = cli("verify", "--server", "a")
    assert done.returncode == 0 and "No damage found" in done.stdout
    assert done.stdout.count("foreign") == 1 and "and 2 more" in done.stdout
    found = decoded(cli("verify", "--server", "a", "--json"), documents.VerifyDocument)
    assert [one.kind for one in found.damage] == ["foreign"] * 3


def test_init_recognises_both_servers_and_what_it_writes_works(cli: Cli, two: Path) -> None:
    (two / "recorder-sync.toml").unlink()
    done = cli("init", "a", "b", "--json")
    assert done.returncode == 0
    servers = json.loads(done.stdout)["servers"]
    assert [(one["server"], one["layout"], one["cameras"]) for one in servers] == [
        ("a", "frigate", ["front"]),
        ("b", "frigate", ["front"]),
    ]
    assert cli("gaps").returncode == 1
    assert cli("init", "a", "b").returncode == 7, "an existing configuration is not replaced"
    assert cli("init", "a", "b", "--force").returncode == 0


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("nvr-📹", "nvr"),
        ("Überwachung", "Uberwachung"),
        ("own", "server-1"),
        ("监控", "server-1"),
        ('nvr "q" \x7f', "nvr-q"),
        ("x" * 200, "x" * 48),
    ],
)
def test_init_makes_a_valid_name_of_any_folder(folder: str, name: str, cli: Cli, tmp_path: Path) -> None:
    make.record(tmp_path / folder, "front", make.tens(0, 60))
    done = cli("init", folder, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["servers"][0]["server"] == name
    text = (tmp_path / "recorder-sync.toml").read_text(encoding="utf-8")
    assert "# [servers.storages.frigate]" in text
    assert cli("scan").returncode == 0


def test_init_names_servers_by_what_tells_their_folders_apart(cli: Cli, two: Path) -> None:
    for server in ("a", "b"):
        (two / "mnt" / server).mkdir(parents=True)
        (two / server / "recordings").rename(two / "mnt" / server / "video")
    done = cli("init", "mnt/a/video", "mnt/b/video", "-c", "other.toml", "--json")
    assert [one["server"] for one in json.loads(done.stdout)["servers"]] == ["a", "b"]


def test_init_refuses_what_no_configuration_can_hold(cli: Cli, tmp_path: Path) -> None:
    make.record(tmp_path / os.fsdecode(b"nvr-\xff"), "front", make.tens(0, 60))
    done = cli("init", os.fsdecode(b"nvr-\xff"))
    assert done.returncode == 6 and "not UTF-8" in done.stderr
    done = cli("init", "a", "--zone", "Europe/Berln")
    assert done.returncode == 2 and "did you mean 'Europe/Berlin'" in done.stderr


def test_init_says_when_there_is_nothing_to_recognise(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert cli("init", "empty").returncode == 6
    assert cli("init", "nowhere").returncode == 6
    make.put(tmp_path / "odd", "holiday.mp4", make.mp4(10), make.T0)
    done = cli("init", "odd")
    assert done.returncode == 5
    assert not (tmp_path / "recorder-sync.toml").exists()


def test_init_refuses_one_folder_twice(cli: Cli, two: Path) -> None:
    (two / "again").symlink_to("a")
    for second in ("a", "./a", "again"):
        done = cli("init", "a", second, "-c", "other.toml")
        assert done.returncode == 2
        assert "the same folder twice" in done.stderr


def test_a_database_that_is_not_supported_is_said(cli: Cli, two: Path) -> None:
    config = two / "recorder-sync.toml"
    config.write_text(config.read_text().replace('"ledger.db"', '"mysql://db/ledger"'))
    done = cli("gaps")
    assert done.returncode == 42
    assert "only a file (SQLite) and postgresql+psycopg:// are supported" in done.stderr


def test_a_killed_fill_is_told_from_one_that_runs_by_what_came_after(cli: Cli, two: Path) -> None:
    from schema.ledger import Ledger

    cli("scan")
    with Ledger.open(f"sqlite:///{two}/ledger.db") as ledger, ledger.writing() as connection:
        ledger.history.fill_began(connection, "a", make.T0)
    assert "was killed or is running" in cli("status").stdout
    cli("fill")
    said = cli("status").stdout
    assert "was killed" in said
    assert "is running" not in said


def test_a_storage_that_is_away_does_not_hide_the_others(cli: Cli, two: Path) -> None:
    cli("scan")
    (two / "b").rename(two / "elsewhere")
    done = cli("gaps", "--json")
    assert done.returncode == 10
    found = decoded(done, documents.GapsDocument)
    assert {gap.state for gap in found.gaps} == {"fillable", "lost"}, "what is known stays known"
    assert any("not looked at just now" in note for note in found.notes)
    filled = cli("fill", "--json")
    assert filled.returncode == 10
    refusals = decoded(filled, documents.FillsDocument).fills[0].refusals
    assert {one.why for one in refusals} == {"source-away"}
    assert decoded(cli("status", "--json"), documents.StatusDocument).refusals == len(refusals)
    assert f"{len(refusals)} segments could not be brought over" in cli("status").stdout
    (two / "elsewhere").rename(two / "b")
    back = decoded(cli("gaps", "--json"), documents.GapsDocument)
    assert {gap.state for gap in back.gaps} == {"fillable", "lost"}, "what refused it is over"
    assert back.refusals == []
    assert cli("fill").returncode == 0
    outages = decoded(cli("gaps", "--json"), documents.GapsDocument).outages
    assert [(one.server, one.cause, one.end is None) for one in outages if one.cause == "storage away"] == [
        ("b", "storage away", False)
    ]


def test_the_error_of_a_storage_is_said_once(cli: Cli, two: Path) -> None:
    cli("scan")
    identity = next((two / "b").rglob("identity.json"))
    identity.write_text(identity.read_text().replace('"storage": "', '"storage": "0'))
    for command in (["gaps"], ["fill"], ["fill", "--server", "b"]):
        done = cli(*command)
        assert done.returncode == 11
        assert (done.stdout + done.stderr).count("error:") == 1
    refusals = decoded(cli("gaps", "--json"), documents.GapsDocument).refusals
    assert {one.why for one in refusals} == {"source-swapped"}
    assert not list((two / "a").rglob(make.frigate_path("front", make.T0 + 70 * 1_000_000)))


def test_what_the_reserve_refuses_comes_with_figures_and_advice(cli: Cli, two: Path) -> None:
    config = two / "recorder-sync.toml"
    config.write_text(config.read_text().replace('reserve = "1 MB"', 'reserve = "900 TB"'))
    [refused, *_] = decoded(cli("fill", "--json"), documents.FillsDocument).fills[0].refusals
    assert refused.size > 0
    assert re.search(r"/recordings/staging: [\d.]+ [MGT]B free, 900\.0 TB in reserve, [\d.]+ kB needed", refused.reason)
    said = " ".join(cli("gaps").stdout.split())
    assert "lower fill.reserve" in said


def test_ctrl_c_stops_a_fill_and_the_next_continues(two: Path, cli: Cli) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "recorder_sync", "fill", "--bandwidth", "2 kB/s"],
        cwd=two,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 30
    while not list((two / "a").rglob("*.part")):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert "stopped on request" in out
    assert cli("fill").returncode == 0
    assert {gap.state for gap in decoded(cli("gaps", "--json"), documents.GapsDocument).gaps} == {"filled", "lost"}


@pytest.mark.parametrize(
    "arguments",
    [
        ("gaps", "--html", "taken/r.html"),
        ("gaps", "--svg", "nowhere/r.svg"),
        ("status", "--html", "taken/r.html"),
        ("verify", "--export", "taken"),
        ("init", "a", "b", "-c", "taken/x.toml"),
    ],
)
def test_output_that_cannot_be_written_is_an_error_of_its_own(cli: Cli, two: Path, arguments: tuple[str, ...]) -> None:
    (two / "taken").write_text("")
    done = cli(*arguments)
    assert (done.returncode, "Traceback" in done.stderr) == (8, False)
    assert arguments[-1] in done.stderr
    assert "cannot be written: " in done.stderr


def test_a_full_disk_behind_stdout_is_an_error_too(two: Path) -> None:
    command = f"{sys.executable} -m recorder_sync gaps > /dev/full"
    done = subprocess.run(["bash", "-c", command], cwd=two, capture_output=True, text=True, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (8, False)
    assert "the standard output cannot be written: No space left on device" in done.stderr


def test_a_defect_never_looks_like_gaps(two: Path) -> None:
    program = """
import sys
from recorder_sync.cli import gaps, main
def broken(*_, **__): raise LookupError("oh")
gaps.run_gaps = broken
sys.argv = ["recorder-sync", "gaps"]
main()
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=two, capture_output=True, text=True, check=False)
    assert done.returncode == 70
    assert "LookupError: oh" in done.stderr
    assert "please report" in done.stderr


def test_a_reader_that_leaves_early_is_no_error(two: Path) -> None:
    command = f"{sys.executable} -m recorder_sync gaps | head -1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], cwd=two, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr


def test_our_package_named_schema_is_the_one_that_is_imported() -> None:
    import schema

    assert (Path(schema.__file__).parent / "ledger").is_dir(), "another distribution called 'schema' is in the way"
