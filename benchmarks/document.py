"""What a run of the benchmarks found, as values: tables and JSON are made from these alone."""

import msgspec

from benchmarks.machine import Machine


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One way to do a task. Seconds and rates are medians over the rounds; `ratio` is durable seconds to ours."""

    who: str
    seconds: float
    durable: float
    durable_rounds: list[float]
    rate: float
    """Megabytes (10^6) a second, durable."""
    ratio: float | None
    verifies: str
    syncs: bool
    peak_mib: float
    cpu: float = 0.0
    """Processor seconds of all processes, the servers' too."""
    resent: int | None = None
    """Bytes moved again although they were here, where a task is about that."""
    complete: bool = False
    """Everything arrived; for recorder-sync compared bit by bit by the benchmark itself."""
    note: str = ""


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One task and how everyone did it."""

    name: str
    title: str
    files: int
    size: int
    rounds: int
    rows: list[Row]
    notes: list[str] = []

    def row(self, who: str) -> Row | None:
        """Return the row of one of them."""
        return next((row for row in self.rows if row.who == who), None)


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """A single measured number."""

    name: str
    value: float
    unit: str
    title: str


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What was promised, and what was measured."""

    title: str
    wanted: str
    measured: str
    met: bool


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """Everything."""

    command: str
    version: str
    quick: bool
    """Small sizes that show that it runs; the figures and targets of such a run mean nothing."""
    started: str
    seconds: float
    machine: Machine
    absent: list[str]
    """Who could not be measured, and why."""
    cases: list[Case]
    figures: list[Figure]
    targets: list[Target]
    verified: bool
    """Every fill of ours was compared bit by bit with its source, and was the same."""
