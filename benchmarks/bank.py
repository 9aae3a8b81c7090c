"""How an XProtect bank is indexed: tens of thousands of table folders in one, and a cache that tells of all of them.

Rule: the tables have the files, and the cache the shape, that were measured on exports (docs/guide/xprotect.md); blocks
are small, which no scan notices. What the recorder does between two scans, closing tables and rewriting its cache, is
not timed.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.data import HOUR, START
from benchmarks.pair import SOURCE, config_text
from benchmarks.tables import Sizes, cameras, write_cache, write_table

_EMPTY: Sizes = {"cindex.idx": 12, "pindex.idx": 12}
_MEDIA: Sizes = {"block0.blk": 2000, "sindex0.idx": 8 + 40 * 100, **_EMPTY}
_BESIDE: Sizes = {"config.xml": 7}
_REST_SECONDS = 2.5
"""What was written a moment ago is looked at once more; that is not what is asked here."""


class Bank:
    """A bank that is closed table by table: one a camera and hour."""

    def __init__(self, folder: Path, number: int) -> None:
        self._folder = folder
        self._cameras = cameras(number)
        self._texts: list[str] = []
        self._next = self._tables()

    def _tables(self) -> Iterator[tuple[str, int]]:
        hour = 0
        while True:
            for camera in self._cameras:
                yield camera, START + hour * HOUR
            hour += 1

    def close(self, number: int) -> None:
        """Close so many tables and rewrite the cache."""
        for camera, start in (next(self._next) for _ in range(number)):
            self._texts.append(write_table(self._folder, camera, start, _MEDIA, [_EMPTY] * 3, _BESIDE))
        write_cache(self._folder, self._texts)


def measure_bank(folder: Path, cameras: int, hours: int) -> dict[str, Any]:
    """Index a bank, then again unchanged, and again after one and after as many tables as cameras were closed."""
    from recorder_sync.app import opened

    (folder / SOURCE / "bank").mkdir(parents=True)
    (folder / "recorder-sync.toml").write_text(config_text("xprotect", (SOURCE, f"{SOURCE}/bank")))
    bank = Bank(folder / SOURCE / "bank", cameras)
    bank.close(cameras * hours)
    os.sync()
    time.sleep(_REST_SECONDS)
    told: dict[str, Any] = {}
    with opened(folder / "recorder-sync.toml") as app:
        for name, closed in (("first", 0), ("again", 0), ("one", 1), ("each", cameras)):
            if closed:
                bank.close(closed)
                time.sleep(_REST_SECONDS)
            report = app.scan()[0].report
            if report is None:
                raise RuntimeError("the bank could not be scanned")
            told[name] = report.seconds
            told[f"{name}_added"] = report.added
    told["cache"] = (folder / SOURCE / "bank" / "cache.xml").stat().st_size
    return told
