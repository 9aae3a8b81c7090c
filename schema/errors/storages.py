"""A storage as a whole, or a path in it, that is not what it should be.

Rule: what cannot be looked at never counts as deleted; the exit codes are 10 to 16.
"""

from schema.errors.base import OperatorError


class StorageAway(OperatorError):
    """storage {0} is away: {1} {2}"""

    exit_code = 10
    transient = True
    hint = "mount it or correct 'root'; nothing was changed and nothing counts as deleted"


class StorageSwapped(OperatorError):
    """storage {0} is not the one the ledger knows: {1}"""

    exit_code = 11
    hint = (
        "if another disk is mounted there, mount the right one; if the disk was replaced on purpose, run"
        " 'recorder-sync scan --adopt'"
    )


class StorageEmptied(OperatorError):
    """storage {0} has none of its {1} known segments any more"""

    exit_code = 12
    hint = "if the recordings were deleted on purpose, run 'recorder-sync scan --accept-loss'; else look for the disk"


class StagingUnusable(OperatorError):
    """storage {0} has no usable place for incoming files: {1}"""

    exit_code = 13
    hint = "set 'state' to a writable folder on the same file system, outside what the recorder scans"


class PathRefused(OperatorError):
    """path {0!r} is refused: {1}"""

    exit_code = 14
    hint = "no path outside the storage root is ever read or written; look at who made this name"


class PermissionMissing(OperatorError):
    """not permitted: {0}: {1}"""

    exit_code = 15
    hint = (
        "give the user that runs recorder-sync read access to recordings, and write access where it fills and to its"
        " ledger"
    )


class DescriptorsExhausted(OperatorError):
    """{0} could not be looked at, because too many files are open here: {1}"""

    exit_code = 16
    transient = True
    hint = "nothing counts as away or deleted; raise the limit of open files if it comes again"
