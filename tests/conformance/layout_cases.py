"""Every layout as someone might configure it, with names that its recorder writes; the suite runs over all of them."""

from dataclasses import dataclass, field

from backfill.layouts import Layout, build
from schema.settings import StorageSettings, TemplateRules


@dataclass(frozen=True)
class Case:
    """A layout as configured, with names it must read: path, camera, digits of its stamp (Z: UTC), seconds it says."""

    title: str
    layout: str
    names: list[tuple[str, str, str | None, float | None]]
    options: dict[str, str] = field(default_factory=dict)
    pattern: str = ""
    zone: str = "Europe/Berlin"
    end: str = "container"

    @property
    def names_camera(self) -> bool:
        """Whether names hold the camera, rather than the configuration."""
        return "camera" not in self.options and self.title != "motion default"

    def build(self) -> Layout:
        rules = TemplateRules(pattern=self.pattern, end=self.end) if self.pattern else None  # type: ignore[arg-type]
        storage = StorageSettings(
            root="/r", layout=self.layout, zone=self.zone, options=self.options, template=rules, name="main"
        )
        return build(storage, "nvr")


def mediamtx(
    title: str, record_path: str, *names: tuple[str, str, str | None, float | None], zone: str = "UTC"
) -> Case:
    return Case(
        f"mediamtx {title}", "mediamtx", list(names), {"recordPath": record_path} if record_path else {}, zone=zone
    )


DEVICE = "e227d322-9fba-426a-92bc-7e05290eda00"
BANK = "11f3a5c0-6f0f-4d0e-9b58-7f2f2a0c9e10"

CASES = [
    Case(
        "frigate",
        "frigate",
        [
            ("2026-11-22/11/front/18.38.mp4", "front", "2026-11-22T11:18:38Z", None),
            ("2024-02-29/23/Back_yard-2/59.59.mp4", "Back_yard-2", "2024-02-29T23:59:59Z", None),
        ],
    ),
    mediamtx("default", "", ("front/2026-11-22_11-38-22-337943.mp4", "front", "2026-11-22T11:38:22.337943", None)),
    mediamtx(
        "with its root, nested path, ts",
        "./recordings/%path/%Y/%m/%d/%H-%M-%S-%f",
        ("site/gate/front/2026/11/22/11-38-22-000007.ts", "site/gate/front", "2026-11-22T11:38:22.000007", None),
    ),
    mediamtx(
        "%s",
        "/srv/%path/%s-%f",
        ("yard/1795347502-337943.mp4", "yard", "2026-11-22T11:38:22.337943Z", None),
    ),
    mediamtx(
        "%z",
        "%Y-%m-%d_%H-%M-%S%z_%path",
        ("2026-07-01_12-00-00+0200_a/b.mp4", "a/b", "2026-07-01T10:00:00Z", None),
        ("2026-11-22_12-00-00+0100_a.mp4", "a", "2026-11-22T11:00:00Z", None),
        zone="Europe/Berlin",
    ),
    mediamtx("%z in UTC", "%path/%Y%m%dT%H%M%S%z", ("a/20261122T120000Z.mp4", "a", "2026-11-22T12:00:00Z", None)),
    mediamtx(
        "%z west of Greenwich",
        "%path/%Y%m%dT%H%M%S%z",
        ("a/20261122T083000-0330.ts", "a", "2026-11-22T12:00:00Z", None),
        zone="America/St_Johns",
    ),
    Case("motion default", "motion", [("01-20261122120000.mkv", "camera", "2026-11-22T12:00:00", None)], {}),
    Case(
        "motion with one camera",
        "motion",
        [("12-20261122120000.mp4", "porch", "2026-11-22T12:00:00", None)],
        {"camera": "porch"},
    ),
    Case(
        "motion by name and day",
        "motion",
        [("front door/2026-11-22/12-00-00-v07.mp4", "front door", "2026-11-22T12:00:00", None)],
        {"movie_filename": "/%$/%Y-%m-%d/%H-%M-%S-v%v"},
    ),
    Case(
        "motion by number, name and shorthand",
        "motion",
        [("3/yard_2026-11-22_12:00:00_320x240.avi", "yard", "2026-11-22T12:00:00", None)],
        {"movie_filename": "%t/%$_%F_%T_%ix%J"},
    ),
    Case("motion %s", "motion", [("1795348800-2.mp4", "2", "2026-11-22T12:00:00Z", None)], {"movie_filename": "%s-%t"}),
    Case("motioneye", "motioneye", [("Camera1/2026-11-22/12-00-00.mp4", "Camera1", "2026-11-22T12:00:00", None)]),
    Case(
        "kerberos",
        "kerberos",
        [
            ("1795348800_3-474_front_0-0-0-0_-1_30016.mp4", "front", "2026-11-22T12:00:00.474Z", 30.016),
            ("1795348800_1-0_back_yard_2_10-20-300-400_57_2000.mp4", "back_yard_2", "2026-11-22T12:00:00Z", 2.0),
            ("1564859471_6-474162_oprit_577-283-727-375_1153_27.mp4", "oprit", "2019-08-03T19:11:11.474162Z", None),
        ],
    ),
    Case("shinobi", "shinobi", [("grp/mon1/2026-11-22T12-00-00.mp4", "mon1", "2026-11-22T12:00:00", None)]),
    Case(
        "shinobi useUTC",
        "shinobi",
        [("grp/mon1/2026-11-22T12-00-00.webm", "mon1", "2026-11-22T12:00:00Z", None)],
        {"useUTC": "true"},
    ),
    Case(
        "zoneminder",
        "zoneminder",
        [
            ("2/26/11/22/11/44/20/3-video.mp4", "2", "2026-11-22T11:44:20", None),
            ("1/2026-11-22/4000/4000-video.mp4", "1", None, None),
            ("1/2026-11-22/4000/4000-video.h264.mp4", "1", None, None),
            ("1/4000/4000-video.mkv", "1", None, None),
        ],
    ),
    Case(
        "xprotect bank",
        "xprotect",
        [
            (f"{DEVICE}_LOCAL_2026-07-01_14-00-00", DEVICE, "2026-07-01T14:00:00", None),
            (f"{DEVICE}_ARCHIVE_2_2026-11-22_12-00-00 (Edge)", DEVICE, "2026-11-22T12:00:00", None),
            (f"{DEVICE.upper()}_LOCAL_2024-02-29_23-59-59", DEVICE, "2024-02-29T23:59:59", None),
        ],
    ),
    Case(
        "xprotect banks",
        "xprotect",
        [(f"{BANK}/{DEVICE}_LOCAL_2026-07-01_14-00-00", DEVICE, "2026-07-01T14:00:00", None)],
        {"banks": "several"},
    ),
    Case("xprotect export", "xprotect", [(DEVICE, DEVICE, None, None)], {"export": "yes"}),
    Case(
        "template with every clock field",
        "template",
        [("a/x9/front/sub/26-2026-11-22/120000.000042_v3.mkv", "front", "2026-11-22T12:00:00.000042", None)],
        pattern="{area}/x{number}/{camera}/{stream}/%y-%Y-%m-%d/%H%M%S.%f_{version}.{suffix}",
    ),
    Case(
        "template from start to end",
        "template",
        [("1795348800-1795348860_front.ts", "front", "2026-11-22T12:00:00Z", 60)],
        pattern="%s-{end_s}_{camera}.{suffix}",
        end="name",
    ),
    Case(
        "template in milliseconds",
        "template",
        [("front/1795348800123.1795348801123.flv", "front", "2026-11-22T12:00:00.123Z", 1)],
        pattern="{camera}/{ms}.{end_ms}.flv",
        end="name",
    ),
    Case(
        "template with lengths",
        "template",
        [("site/front/1795348800000001_61_61000.mp4", "site/front", "2026-11-22T12:00:00.000001Z", 61)],
        pattern="{camera*}/{us}_{duration_s}_{duration_ms}.mp4",
        end="name",
    ),
    Case(
        "template with a day only",
        "template",
        [("front/2026-11-22/7.mp4", "front", None, None)],
        pattern="{camera}/%Y-%m-%d/{id}.mp4",
        end="mtime",
    ),
    Case(
        "template of one camera",
        "template",
        [("20261122/120000.mp4", "gate", "2026-11-22T12:00:00", None)],
        {"camera": "gate"},
        pattern="%Y%m%d/%H%M%S.mp4",
    ),
]
