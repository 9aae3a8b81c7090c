"""The service keeps the primary's recorder id while it can be reached, and says once what keeps it from that."""

import asyncio
from contextlib import suppress
from pathlib import Path

import structlog
from structlog.testing import capture_logs

from recorder_sync.identity.here import Here
from recorder_sync.service.identity import Identities
from schema.settings import Settings, parse
from tests.identities import AFTER, BEFORE, NEW

SITE = """
[[servers]]
name = "b"
[[servers.storages]]
root = "b/recordings"
layout = "frigate"
[identity]
config = "b.xml"
primary = "a"
primary_config = "a.xml"
refresh = "1s"
"""


def site(base: Path, text: str = SITE) -> Settings:
    (base / "b.xml").write_bytes(BEFORE)
    return parse(text.encode(), base / "recorder-sync.toml")


def running(settings: Settings, seconds: float) -> list[dict[str, object]]:
    """Run it for a moment; returns what it said."""

    async def run() -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(Identities(Here.of(settings, lambda: 5)).run(), seconds)

    structlog.reset_defaults()
    with capture_logs() as said:
        asyncio.run(run())
    return [dict(one) for one in said]


def test_it_is_kept_and_told_once(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_bytes(AFTER)
    settings = site(tmp_path)
    said = running(settings, 2.5)
    assert [(one["event"], one["id"]) for one in said] == [("identity.kept", NEW)]
    (tmp_path / "a.xml").unlink()
    found, late = Here.of(settings, lambda: 9).known()
    assert (found.id, found.at) == (NEW, 5)
    assert "No such file" in late


def test_what_keeps_it_from_being_read_is_told_once(tmp_path: Path) -> None:
    said = running(site(tmp_path), 2.5)
    assert [one["event"] for one in said] == ["identity.not_read"]


def test_our_own_id_is_not_taken_for_the_primarys(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_bytes(BEFORE)
    said = running(site(tmp_path), 0.5)
    assert "changed by hand" in str(said[0]["problem"])
    assert not (tmp_path / "identity").exists()


def test_who_may_take_nobodys_id_reads_none(tmp_path: Path) -> None:
    settings = site(tmp_path, SITE.partition("[identity]")[0])
    assert running(settings, 0.3) == []
