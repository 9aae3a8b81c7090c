"""What `doctor --json` prints."""

from typing import Literal

import msgspec


class FindingDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What was found of one thing; `do` is empty where nothing need be done."""

    area: str
    subject: str
    verdict: Literal["ok", "unknown", "warning", "problem"]
    says: str
    do: str


class DoctorDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`recorder-sync doctor --json`."""

    generated: str
    findings: list[FindingDocument]
    problems: int
    warnings: int
    unknown: int
