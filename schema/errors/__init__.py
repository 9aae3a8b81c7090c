"""The catalogue of errors an operator can meet: one class each, its docstring the sentence they read.

Rule: every class here has an exit code of its own, a hint that says what to do, and says whether trying again can
help. Anything else that escapes is a defect of ours. `docs/reference/exit-codes.md` is written from this package.
Errors are imported from here; the modules are its families, by what went wrong.
"""

from schema.errors.base import EXIT_CRASHED, EXIT_DONE, EXIT_FOUND, EXIT_INTERRUPTED, EXIT_USAGE, OperatorError, hint_of
from schema.errors.filling import (
    AlreadyRunning,
    CannotPublish,
    CommandFailed,
    CopyDamaged,
    DiskFull,
    RecorderDatabase,
    ReserveReached,
    SourceChanged,
    SourceDamaged,
    SourceGone,
    SourceUnreadable,
    WriteFailed,
)
from schema.errors.ledger import (
    LedgerBusy,
    LedgerDamaged,
    LedgerForbidden,
    LedgerForeign,
    LedgerNewer,
    LedgerNotDurable,
    LedgerReplaced,
    LedgerUnreachable,
)
from schema.errors.link import (
    InvitationInvalid,
    PeerIncompatible,
    PeerInvalid,
    PeerRefused,
    PeerUnreachable,
    PeerUntrusted,
    TrustUnusable,
)
from schema.errors.program import DemoFailed, ExtraMissing, Interrupted
from schema.errors.service import (
    AlarmUndelivered,
    RightsMissing,
    SecretMissing,
    ServiceCommandFailed,
    ServiceForeign,
    ServiceManagerMissing,
    ServiceUnknown,
)
from schema.errors.storages import (
    DescriptorsExhausted,
    PathRefused,
    PermissionMissing,
    StagingUnusable,
    StorageAway,
    StorageEmptied,
    StorageSwapped,
)
from schema.errors.usage import (
    ConfigInvalid,
    ConfigMissing,
    FileExistsAlready,
    LayoutUnknown,
    NothingToDetect,
    OutputFailed,
    UnknownName,
    UsageInvalid,
)

__all__ = [
    "EXIT_CRASHED",
    "EXIT_DONE",
    "EXIT_FOUND",
    "EXIT_INTERRUPTED",
    "EXIT_USAGE",
    "AlarmUndelivered",
    "AlreadyRunning",
    "CannotPublish",
    "CommandFailed",
    "ConfigInvalid",
    "ConfigMissing",
    "CopyDamaged",
    "DemoFailed",
    "DescriptorsExhausted",
    "DiskFull",
    "ExtraMissing",
    "FileExistsAlready",
    "Interrupted",
    "InvitationInvalid",
    "LayoutUnknown",
    "LedgerBusy",
    "LedgerDamaged",
    "LedgerForbidden",
    "LedgerForeign",
    "LedgerNewer",
    "LedgerNotDurable",
    "LedgerReplaced",
    "LedgerUnreachable",
    "NothingToDetect",
    "OperatorError",
    "OutputFailed",
    "PathRefused",
    "PeerIncompatible",
    "PeerInvalid",
    "PeerRefused",
    "PeerUnreachable",
    "PeerUntrusted",
    "PermissionMissing",
    "RecorderDatabase",
    "ReserveReached",
    "RightsMissing",
    "SecretMissing",
    "ServiceCommandFailed",
    "ServiceForeign",
    "ServiceManagerMissing",
    "ServiceUnknown",
    "SourceChanged",
    "SourceDamaged",
    "SourceGone",
    "SourceUnreadable",
    "StagingUnusable",
    "StorageAway",
    "StorageEmptied",
    "StorageSwapped",
    "TrustUnusable",
    "UnknownName",
    "UsageInvalid",
    "WriteFailed",
    "catalogue",
    "hint_of",
]


def catalogue() -> list[type[OperatorError]]:
    """Return every error class, by exit code."""
    return sorted(OperatorError.__subclasses__(), key=lambda kind: kind.exit_code)
