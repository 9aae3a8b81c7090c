"""An import of filled recordings into a recorder's own storage: why it was not made, or not ended."""

from schema.errors.base import OperatorError


class ImportUnsafe(OperatorError):
    """the recorder here must not be stopped for an import now: {0}"""

    exit_code = 90
    transient = True
    hint = "nothing was touched; put right what it names and try again"


class RecorderWrites(OperatorError):
    """{0} is written to although the service {1!r} is stopped: {2}"""

    exit_code = 91
    hint = "nothing was moved; 'identity.service' and 'identity.server' must name the recorder of that storage"


class ImportCutOff(OperatorError):
    """an import that began at {0} was cut off, and the recorder may still be stopped"""

    exit_code = 92
    hint = "'recorder-sync import --undo' takes back what it moved and starts the recorder as it ran before"


class ImportHalfDone(OperatorError):
    """an import could neither be finished nor taken back, and the recorder may still be stopped: {0}"""

    exit_code = 93
    transient = True
    hint = "put right what it names, then 'recorder-sync import --undo'; every recording is whole, here or there"


class ImportNotMade(OperatorError):
    """there is nothing to take back: no import into {0} is in force"""

    exit_code = 94
    hint = "nothing was changed; 'recorder-sync import --dry-run' shows what could be imported"


class ImportNotesDamaged(OperatorError):
    """the journal of imports {0} is damaged: {1}"""

    exit_code = 95
    hint = "set it aside; 'recorder-sync scan --full' tells where every recording is; start the recorder yourself"


class ImportNotWritten(OperatorError):
    """the journal of imports {0} could not be written: {1}"""

    exit_code = 96
    transient = True
    hint = "put right what it names and try again; the step that it was to say was not taken"
