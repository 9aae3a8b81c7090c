"""A recorder's identity: its file, the id in it, and why it was not changed."""

from schema.errors.base import OperatorError


class IdentityBusy(OperatorError):
    """another process is changing the recorder's identity, or has stopped it for an import (see {0})"""

    exit_code = 79
    transient = True
    hint = "wait for it to end, then look with 'recorder-sync clone-id --dry-run'"


class RecorderFileInvalid(OperatorError):
    """{0} cannot be used as a recorder's configuration: {1}"""

    exit_code = 80
    hint = "it was not touched; is it the recorder's own RecorderConfig.xml, whole and as the recorder wrote it?"


class RecorderFileUnreadable(OperatorError):
    """{0} cannot be read: {1}"""

    exit_code = 81
    transient = True
    hint = "check the path, and that the user that runs recorder-sync may read it; nothing was changed"


class IdentityUnknown(OperatorError):
    """the recorder id of {0} is not known: {1}"""

    exit_code = 82
    hint = "it is learnt while that server is reachable: 'recorder-sync clone-id --learn', or name its file with --from"


class IdentityRefused(OperatorError):
    """{0} may be alive, and two recorders must never answer with one id: {1}"""

    exit_code = 83
    transient = True
    hint = "stop its recorder and try again; if you know that it is off, --force with the words that --dry-run shows"


class IdentityNotWritten(OperatorError):
    """{0} could not be written: {1}"""

    exit_code = 84
    transient = True
    hint = "put right what it names and try again; the recorder's file is whole, and --dry-run shows which id it has"


class IdentityChanged(OperatorError):
    """{0} is not as it was left here: {1}"""

    exit_code = 85
    hint = "somebody else changed it, and it was not touched; look at its id, and at the copy in 'identity.folder'"


class IdentityNotTaken(OperatorError):
    """there is nothing to undo: {0} has its own id"""

    exit_code = 86
    hint = "nothing was changed; 'recorder-sync clone-id --dry-run' shows where things stand"


class IdentityNotesDamaged(OperatorError):
    """{0} is damaged: {1}"""

    exit_code = 87
    hint = "set it aside, compare the recorder's file with the copies beside it, and put the right one in its place"


class IdentityHalfDone(OperatorError):
    """the id of {0} could neither be changed nor put back: {1}"""

    exit_code = 88
    transient = True
    hint = "the file is whole; put right what it names, then 'recorder-sync clone-id --undo' brings the old state back"


class RecorderServiceStuck(OperatorError):
    """the service {0} of the recorder did not {1}: {2}"""

    exit_code = 89
    transient = True
    hint = "look at that service and its log, and whether the recorder runs; then give the same command again"
