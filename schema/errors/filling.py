"""A fill that cannot bring a segment: its source, the disk it is written to, and what follows once it has landed.

Rule: nothing incomplete is left under a final name; the exit codes are 20 to 23 for the source, 30 to 34 for the
destination, 50, 52 and 53 for the fill itself.
"""

from schema.errors.base import OperatorError


class SourceGone(OperatorError):
    """{0} is gone from {1}: it was deleted or renamed after it was planned"""

    exit_code = 20
    hint = "retention may have reached it; the next scan shows what can still be filled"


class SourceChanged(OperatorError):
    """{0} on {1} changed while it was being read"""

    exit_code = 21
    transient = True
    hint = "a sealed segment should not change; scan again, and look at what writes there"


class SourceDamaged(OperatorError):
    """{0} on {1} is not what it was when it was sealed: {2}"""

    exit_code = 22
    hint = "the copy at the source is damaged; run 'recorder-sync verify' on that server"


class SourceUnreadable(OperatorError):
    """{0} on {1} cannot be read: {2}"""

    exit_code = 23
    transient = True
    hint = "look at that disk; nothing was written here"


class DiskFull(OperatorError):
    """no space left at {0} while writing {1}"""

    exit_code = 30
    transient = True
    hint = "free space there; the copy was dropped and the fill continues where it was"


class ReserveReached(OperatorError):
    """{0} has {1} free, less than the reserve of {2} plus what is under way"""

    exit_code = 31
    transient = True
    hint = "free space or lower 'fill.reserve'; live recording keeps what is left"


class WriteFailed(OperatorError):
    """writing {0} failed: {1}"""

    exit_code = 32
    transient = True
    hint = "the copy was dropped and is fetched again next time; look at that disk"


class CopyDamaged(OperatorError):
    """the copy of {0} read back differently from what was written"""

    exit_code = 33
    transient = True
    hint = "the copy was dropped and is fetched again next time; look at that disk and at the memory"


class CannotPublish(OperatorError):
    """{0} cannot take a new file without risking to replace one: {1}"""

    exit_code = 34
    hint = "the file system needs hard links or renameat2; set fill = \"side\" with a 'side' folder that has them"


class AlreadyRunning(OperatorError):
    """another fill into {0} is running{1}"""

    exit_code = 50
    transient = True
    hint = "wait for it, or stop it; two fills into one storage would fetch the same twice"


class CommandFailed(OperatorError):
    """the command after the fill ended with status {0}: {1}"""

    exit_code = 52
    hint = "the files are landed; run the command by hand, it gets their paths on standard input"


class RecorderDatabase(OperatorError):
    """the recorder's database {0} could not be used: {1}"""

    exit_code = 53
    transient = True
    hint = "the files are landed and safe; rows are added by the next fill"
