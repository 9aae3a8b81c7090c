"""One suite over every layout: what `backfill.layouts.Layout` promises of names, no module may break.

A name that is read wrongly is footage that nobody finds again, and a half-written file that is read at all would count
as coverage. So: what is read is written back to the letter, what is written is read back the same, and nothing but a
whole name is a name.
"""

import signal
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill.layouts import Named, Stamp, available
from backfill.layouts.base import Unplaceable
from backfill.layouts.zones import candidates
from schema.errors import ConfigInvalid
from schema.moments import from_datetime
from schema.spans import SECOND
from tests.conformance.layout_cases import CASES, Case, mediamtx

NAMES = [pytest.param(case, *name, id=f"{case.title}: {name[0]}") for case in CASES for name in case.names]
EACH = pytest.mark.parametrize(("case", "path", "camera", "digits", "seconds"), NAMES)


def moment(digits: str | None) -> Stamp | None:
    if digits is None:
        return None
    us = from_datetime(datetime.fromisoformat(digits.removesuffix("Z")).replace(tzinfo=UTC))
    return Stamp(us, local=not digits.endswith("Z"))


def test_every_layout_that_comes_with_us_is_in_this_suite() -> None:
    ours = {"frigate", "kerberos", "mediamtx", "motion", "motioneye", "shinobi", "template", "xprotect", "zoneminder"}
    assert {case.layout for case in CASES} == ours
    assert ours <= set(available())


@EACH
def test_a_name_says_camera_time_and_length(
    case: Case, path: str, camera: str, digits: str | None, seconds: float | None
) -> None:
    named = case.build().read(path)
    assert named is not None
    assert (named.camera, named.stamp) == (camera, moment(digits))
    assert named.duration == (None if seconds is None else round(seconds * SECOND))


@EACH
def test_what_is_read_is_written_back_to_the_letter(
    case: Case, path: str, camera: str, digits: str | None, seconds: float | None
) -> None:
    layout = case.build()
    named = layout.read(path)
    assert named is not None
    assert layout.write(named) == path
    assert layout.read(layout.write(named)) == named


@EACH
def test_only_a_whole_name_is_a_name(
    case: Case, path: str, camera: str, digits: str | None, seconds: float | None
) -> None:
    layout = case.build()
    folder, slash, name = path.rpartition("/")
    half = [path + ".part", path + "~", path[:-1], path + "/", "/" + path, path + "\n", path + "\0", "x" + path[-4:]]
    hidden = [
        f"{folder}{slash}.{name}",
        f".{path}",
        f".recorder-sync/staging/{path}",
        f".incoming/{path}",
        f"../{path}",
    ]
    control = [path.replace(camera, camera + "\n"), path.replace(camera, f"{camera}\x1b[2J")] if camera in path else []
    thai = path.translate({ord("0") + n: 0x0E50 + n for n in range(10)})
    for wrong in [*half, *hidden, *control, thai]:
        assert layout.read(wrong) is None, wrong


@pytest.mark.parametrize(
    "camera", ["front door", "caméra-двор", "cam+1 (old)", "a.b", "50%", "[x]*?", "x_y-z", "Ⅻ", "$^|"]
)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
def test_an_odd_camera_name_is_read_back_or_refused(case: Case, camera: str) -> None:
    layout = case.build()
    for path, *_ in case.names:
        named = layout.read(path)
        assert named is not None
        renamed = named._replace(camera=camera)
        try:
            written = layout.write(renamed)
        except Unplaceable:
            strict = case.layout in ("frigate", "xprotect")
            assert not case.names_camera or strict, f"{camera} is a fine name here"
        else:
            assert layout.read(written) == renamed


@pytest.mark.parametrize(
    "camera", ["", ".", "..", "../up", ".hidden", "a\nb", "a\0b", "/root", "a//b", "a/../b", "a/.b"]
)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
def test_a_camera_that_no_folder_could_be_is_never_written(case: Case, camera: str) -> None:
    layout = case.build()
    named = layout.read(case.names[0][0])
    assert named is not None
    try:
        written = layout.write(named._replace(camera=camera))
    except Unplaceable:
        return
    # Where the camera stands inside a name, a dot in front of it neither hides nor leads anywhere.
    assert camera.startswith(".")
    assert not any(part in ("", ".", "..") or part.startswith(".") for part in written.split("/"))


NAMING = [pytest.param(case, id=case.title) for case in CASES if case.names_camera and case.layout != "xprotect"]
"""Those whose cameras have names; XProtect's have numbers, which no letter case tells apart."""


@pytest.mark.parametrize("case", NAMING)
def test_names_that_differ_only_in_case_are_two_cameras(case: Case) -> None:
    layout = case.build()
    named = layout.read(case.names[0][0])
    assert named is not None
    upper, lower = (layout.write(named._replace(camera=camera)) for camera in ("Front", "front"))
    assert upper != lower
    assert [one.camera for one in (layout.read(upper), layout.read(lower)) if one] == ["Front", "front"]


BAD_CLOCKS = [
    ("2026-11-22_12-00-00", "2026-02-29_12-00-00"),
    ("2026-11-22_12-00-00", "2026-13-01_12-00-00"),
    ("2026-11-22_12-00-00", "2026-11-00_12-00-00"),
    ("2026-11-22_12-00-00", "2026-11-22_24-00-00"),
    ("2026-11-22_12-00-00", "2026-11-22_12-60-00"),
    ("2026-11-22_12-00-00", "2026-11-22_12-00-61"),
    ("2026-11-22_12-00-00", "0001-01-01_00-00-00"),
    ("2026-11-22_12-00-00", "9999-12-31_23-59-59"),
    ("2026-11-22_12-00-00", "1969-12-31_23-59-59"),
]


@pytest.mark.parametrize(("good", "bad"), BAD_CLOCKS)
def test_a_time_that_no_recorder_wrote_is_no_name(good: str, bad: str) -> None:
    layout = mediamtx("", "%path/%Y-%m-%d_%H-%M-%S").build()
    assert layout.read(f"front/{good}.mp4") is not None
    assert layout.read(f"front/{bad}.mp4") is None


def test_a_day_that_does_not_exist_is_no_name_either() -> None:
    zoneminder = next(case for case in CASES if case.layout == "zoneminder").build()
    assert zoneminder.read("1/2026-02-30/4000/4000-video.mp4") is None
    assert zoneminder.read("1/2026-11-22/4000/4001-video.mp4") is None, "one event in the folder of another"
    assert zoneminder.read("1/2026-11-22/4000/incomplete.mp4") is None


def test_a_leap_second_is_the_next_second() -> None:
    layout = mediamtx("", "%path/%Y-%m-%d_%H-%M-%S").build()
    named = layout.read("front/2016-12-31_23-59-60.mp4")
    assert named is not None and named.stamp == moment("2017-01-01T00:00:00")
    assert layout.read(layout.write(named)) == named


@pytest.mark.parametrize(
    "path",
    [
        "1795348800_3-474_front_0-0-0-0_0_0_.mp4",  # open, continuous
        "1795348800_3-474_front_0-0-0-0_12_0.mp4",  # open, on motion
        "1795348800_2-474_front_0-0-0-0_-1_30016.mp4",  # three digits that say they are two
        "1795348800_3-474_front_0-0-0_-1_30016.mp4",
    ],
)
def test_kerberos_names_a_file_wholly_only_when_it_is_closed(path: str) -> None:
    assert Case("", "kerberos", []).build().read(path) is None


def test_numbers_that_no_ledger_could_hold_are_no_names() -> None:
    kerberos = Case("", "kerberos", []).build()
    assert kerberos.read(f"1795348800_3-474_front_0-0-0-0_-1_{'9' * 200}.mp4") is None
    template = Case("", "template", [], pattern="{camera}/{ms}_{duration_ms}.mp4").build()
    assert template.read(f"front/{'9' * 200}_1000.mp4") is None
    assert template.read(f"front/1795348800000_{'9' * 5000}.mp4") is None


WRONG = [
    (Case("", "frigatte", []), "did you mean 'frigate'"),
    (Case("", "nothing like it", []), "known: frigate, kerberos"),
    (Case("", "frigate", [], {"root": "x"}), "no option 'root'; it has: none"),
    (Case("", "mediamtx", [], {"recordpath": "%path/%s"}), "did you mean 'recordPath'"),
    (Case("", "mediamtx", [], {"recordPath": "%Y-%m-%d_%H-%M-%S"}), "has no %path"),
    (Case("", "mediamtx", [], {"recordPath": "%path/%Y-%q"}), "unknown variable '%q'"),
    (Case("", "mediamtx", [], {"recordPath": "%path/{x}-%s"}), "braces"),
    (Case("", "mediamtx", [], {"recordPath": "%path/%H-%M-%S"}), "not a whole date and time"),
    (Case("", "mediamtx", [], {"recordSegmentDuration": "an hour"}), "not a length up to a day"),
    (Case("", "mediamtx", [], {"recordSegmentDuration": "0s"}), "not a length up to a day"),
    (Case("", "motion", [], {"movie_file": "%v"}), "did you mean 'movie_filename'"),
    (Case("", "motion", [], {"movie_filename": "%E-%s"}), "specifier '%E'"),
    (Case("", "motion", [], {"movie_filename": "%{fps}-%s"}), "braces"),
    (Case("", "motion", [], {"movie_filename": "%$-%s", "camera": "x"}), "'x' would not count"),
    (Case("", "shinobi", [], {"useUTC": "yes"}), "not 'yes'"),
    (Case("", "xprotect", [], {"export": "true"}), "option 'export' is 'no' or 'yes', not 'true'"),
    (Case("", "xprotect", [], {"bank": "several"}), "did you mean 'banks'"),
    (Case("", "template", [], pattern="%Y-%m-%d/%H-%M-%S.mp4"), "no {camera}"),
    (Case("", "template", [], pattern="{Camera}/%s.mp4"), "a '{' that belongs to no field"),
    (Case("", "template", [], pattern="{camera}/%s.mp4%"), "a '%' that belongs to no field"),
    (Case("", "template", [], pattern="{camera}/%Q.mp4"), "unknown code '%Q'"),
    (Case("", "template", [], pattern="/{camera}/%s.mp4"), "not a relative path"),
    (Case("", "template", [], pattern="{camera}/../%s.mp4"), "not a relative path"),
    (Case("", "template", [], pattern="{camera}/{a}_{b}_{c}_%s.mp4"), "more than 2 fields of any word in one name"),
    (Case("", "template", [], pattern="{camera}/%s.mp4", end="name"), "{duration_ms}"),
    (Case("", "template", [], pattern="{camera}/%s.mp4", end="next"), "'segment'"),
    (Case("", "template", [], pattern="{camera}/%Y%m%d%H%M%S-{end_s}.mp4", end="name"), "no local time"),
]


@pytest.mark.parametrize(("case", "says"), WRONG)
def test_a_wrong_setting_is_named(case: Case, says: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        case.build()
    assert says in str(caught.value)
    assert "storage 'main' of server 'nvr'" in str(caught.value)


EVERY_NUMBER = Case(
    "motion with every specifier",
    "motion",
    [("yard-3-07-1-2-5-320-240-9-9-lit-64-48-20261122120000.mp4", "yard", "2026-11-22T12:00:00", None)],
    {"movie_filename": "%$-%t-%v-%q-%D-%N-%i-%J-%K-%L-%C-%w-%h-%Y%m%d%H%M%S"},
)


@pytest.mark.parametrize("case", [*CASES, EVERY_NUMBER], ids=lambda case: case.title)
def test_a_hostile_name_costs_no_more_than_another(case: Case) -> None:
    layout = case.build()
    assert layout.read(case.names[0][0]) is not None
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.alarm(30)  # an exponential or quintic match takes years, a quadratic one a millisecond
    try:
        for path, *_ in case.names:
            folder, slash, name = path.rpartition("/")
            for separator in {letter for letter in name if not letter.isalnum()} | set("-_.0a"):
                for filler in (separator * 250, f"{separator}0" * 125, f"{separator}a" * 125, f"0{separator}0-0" * 60):
                    for tail in ("", "!", name[-4:], f"{name[-4:]}!"):
                        for head in ("", name[:9], name[:-4]):
                            layout.read(f"{folder}{slash}{head}{filler}{tail}")
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


words = st.text(
    st.characters(codec="utf-8", exclude_categories=["C", "Z"], exclude_characters="/"), min_size=1, max_size=12
)
stamps = st.integers(10**15, 4 * 10**15)


@given(camera=words, us=stamps, case=st.sampled_from(CASES), length=st.integers(1, 10**9))
def test_whatever_can_be_written_is_read_back_as_the_same_camera_and_time(
    camera: str, us: int, case: Case, length: int
) -> None:
    layout = case.build()
    zone = ZoneInfo(case.zone)
    fields = dict.fromkeys(["suffix", "stream", "event", "group", "area", "number", "version", "id", "width"], "7")
    fields |= {"suffix": "mp4", "codec": "", "height": "5"}
    named = Named(camera, "sub", Stamp(us, local=False), length * 1000, fields)
    try:
        path = layout.write(named if "{stream}" in case.pattern else named._replace(stream=""))
    except Unplaceable:
        return
    said = layout.read(path)
    assert said is not None and said.camera == camera
    if said.stamp is not None:
        times = candidates(said.stamp.us, zone) if said.stamp.local else [said.stamp.us]
        assert any(0 <= us - time < SECOND for time in times)
