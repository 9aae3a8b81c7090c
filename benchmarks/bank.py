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
from uuid import UUID, uuid5

from benchmarks.data import START
from benchmarks.pair import SOURCE, config_text

_CAMERA = UUID("11f3a5c0-6f0f-4d0e-9b58-7f2f2a0c9e10")
_MEDIA = "7ea9b53b-749e-420b-891b-43b238f6144e"
_SMALL = (
    "8b742df9-5ba1-49df-ace1-66e54f5dc295",
    "908d3e34-3510-4372-9e3f-20c53b92490a",
    "f3f39289-0372-410d-8936-802b1e627567",
)
_HOUR = 3600
_BLOCK, _INDEX, _EMPTY = bytes(2000), bytes(8 + 40 * 100), bytes(12)
_REST_SECONDS = 2.5
"""What was written a moment ago is looked at once more; that is not what is asked here."""


class Bank:
    """A bank that is closed table by table: one a camera and hour."""

    def __init__(self, folder: Path, cameras: int) -> None:
        self._folder = folder
        self._cameras = [str(uuid5(_CAMERA, str(number))) for number in range(cameras)]
        self._texts: list[str] = []
        self._next = self._tables()

    def _tables(self) -> Iterator[tuple[str, int]]:
        hour = 0
        while True:
            for camera in self._cameras:
                yield camera, START + hour * _HOUR
            hour += 1

    def close(self, number: int) -> None:
        """Close so many tables and rewrite the cache."""
        for camera, start in (next(self._next) for _ in range(number)):
            self._texts.append(self._table(camera, start))
        text = "".join(self._texts)
        head = '<?xml version="1.0" encoding="UTF-8" standalone="no"?>\n<bank version="1.2">\n'
        (self._folder / "cache.xml").write_text(f"{head}{text}</bank>\n")

    def _table(self, camera: str, start: int) -> str:
        """Write one table and return what the cache says of it."""
        name = f"{camera}_LOCAL_{time.strftime('%Y-%m-%d_%H-%M-%S', time.gmtime(start + _HOUR))}"
        folder = os.path.join(self._folder, name)
        self._write(folder, "config.xml", b"<bank/>")
        said = self._column(folder, _MEDIA, start, {"block0.blk": _BLOCK, "sindex0.idx": _INDEX})
        for column in _SMALL:
            said += self._column(folder, column, start, {})
        os.utime(folder, (start + _HOUR, start + _HOUR))
        return (
            f"  <table>\n    <name>{name}</name>\n    <size>6500</size><description>Camera {camera[:4]}</description>\n"
            f'    <meta_data><entry key="device_type">Camera</entry></meta_data>\n{said}  </table>\n'
        )

    def _column(self, folder: str, column: str, start: int, files: dict[str, bytes]) -> str:
        files = {**files, "cindex.idx": _EMPTY, "pindex.idx": _EMPTY}
        for name, content in files.items():
            self._write(os.path.join(folder, column), name, content)
        zeros = "".join(
            f"<{tag}>0</{tag}>"
            for tag in (
                "meta_data_first_record",
                "meta_data_last_record",
                "begin_time_last_record",
                "end_time_first_record",
            )
        )
        times = f"<begin_time>{start}000</begin_time><end_time>{start + _HOUR}000</end_time>\n      {zeros}"
        size = sum(map(len, files.values()))
        filled = times if column == _MEDIA else ""
        return f"    <column><name>{column}</name>{filled}<size>{size}</size></column>\n"

    @staticmethod
    def _write(folder: str, name: str, content: bytes) -> None:
        path = os.path.join(folder, name)
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT)
        except FileNotFoundError:
            os.makedirs(folder)
            fd = os.open(path, os.O_WRONLY | os.O_CREAT)
        os.write(fd, content)
        os.close(fd)


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
