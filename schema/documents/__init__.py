"""What `--json` prints: one structure a command, with stable keys, from which the published JSON schema is made.

Rule: keys are only added, never renamed or removed within a major version. Times are ISO 8601 UTC with six fractional
digits, lengths are seconds, sizes are bytes, digests are hexadecimal XXH3-128. Documents are imported from here; the
modules are what they speak of.
"""

from typing import Any

import msgspec

from schema.documents.alarms import AlarmDocument, AlarmsDocument, DeliveryDocument, RaisedDocument, TriedDocument
from schema.documents.clock import CameraClockDocument, ClockDocument, ServerClockDocument
from schema.documents.demo import DemoDocument, FrameCounts
from schema.documents.doctor import DoctorDocument, FindingDocument
from schema.documents.gaps import (
    CoverageDocument,
    GapDocument,
    GapsDocument,
    OutageDocument,
    RefusalDocument,
    SpanDocument,
    TotalDocument,
)
from schema.documents.identity import IdentityDocument, SignalDocument
from schema.documents.importing import ImportDocument, ImportedDocument, LeftDocument
from schema.documents.service import LiveDocument, LiveFillDocument, LivePeerDocument, ServiceDocument
from schema.documents.status import (
    CameraDocument,
    FillRecordDocument,
    FleetDocument,
    FleetTotalDocument,
    PairDocument,
    ServerDocument,
    StatusDocument,
    StorageDocument,
)
from schema.documents.work import (
    DamageDocument,
    FillDocument,
    FillsDocument,
    ScanDocument,
    ScansDocument,
    TaskDocument,
    VerifyDocument,
)

__all__ = [
    "DOCUMENTS",
    "AlarmDocument",
    "AlarmsDocument",
    "CameraClockDocument",
    "CameraDocument",
    "ClockDocument",
    "CoverageDocument",
    "DamageDocument",
    "DeliveryDocument",
    "DemoDocument",
    "DoctorDocument",
    "FillDocument",
    "FillRecordDocument",
    "FillsDocument",
    "FindingDocument",
    "FleetDocument",
    "FleetTotalDocument",
    "FrameCounts",
    "GapDocument",
    "GapsDocument",
    "IdentityDocument",
    "ImportDocument",
    "ImportedDocument",
    "LeftDocument",
    "LiveDocument",
    "LiveFillDocument",
    "LivePeerDocument",
    "OutageDocument",
    "PairDocument",
    "RaisedDocument",
    "RefusalDocument",
    "ScanDocument",
    "ScansDocument",
    "ServerClockDocument",
    "ServerDocument",
    "ServiceDocument",
    "SignalDocument",
    "SpanDocument",
    "StatusDocument",
    "StorageDocument",
    "TaskDocument",
    "TotalDocument",
    "TriedDocument",
    "VerifyDocument",
    "json_schema",
]

DOCUMENTS: dict[str, type[msgspec.Struct]] = {
    "alarms": AlarmsDocument,
    "clock": ClockDocument,
    "clone-id": IdentityDocument,
    "coverage": CoverageDocument,
    "demo": DemoDocument,
    "doctor": DoctorDocument,
    "fill": FillsDocument,
    "fleet": FleetDocument,
    "gaps": GapsDocument,
    "import": ImportDocument,
    "scan": ScansDocument,
    "service": ServiceDocument,
    "status": StatusDocument,
    "verify": VerifyDocument,
}


def json_schema(command: str) -> dict[str, Any]:
    """Return the JSON schema of what `recorder-sync COMMAND --json` prints."""
    return msgspec.json.schema(DOCUMENTS[command])
