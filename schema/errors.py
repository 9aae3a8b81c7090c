"""The catalogue of errors an operator can meet: one class each, its docstring the sentence they read.

Rule: every class here has an exit code of its own, a hint that says what to do, and says whether trying again can
help. Anything else that escapes is a defect of ours. `docs/reference/exit-codes.md` is written from this module.
"""

import string

EXIT_DONE = 0
"""Everything asked for was done."""

EXIT_FOUND = 1
"""Gaps or damage were found: for scripts and monitoring."""

EXIT_USAGE = 2
"""The command line or the configuration is wrong."""

EXIT_CRASHED = 70
"""A defect of ours; never 1, which means that gaps were found."""

EXIT_INTERRUPTED = 130
"""Stopped by the operator (Ctrl-C); the next run continues."""


class OperatorError(Exception):
    """Something an operator can understand and act on."""

    exit_code = EXIT_CRASHED
    transient = False
    hint = ""

    def __init__(self, *details: object) -> None:
        super().__init__(*details)
        self.details = details

    def __str__(self) -> str:
        """Return the class's sentence with the details filled in."""
        sentence = " ".join((type(self).__doc__ or "").split())
        return string.Formatter().vformat(sentence, self.details, {})


class ConfigInvalid(OperatorError):
    """the configuration {0} is not valid: {1}"""

    exit_code = EXIT_USAGE
    hint = "correct that key; docs/reference/configuration.md lists every key with an example"


class UsageInvalid(OperatorError):
    """{0}: {1}"""

    exit_code = EXIT_USAGE
    hint = "see 'recorder-sync COMMAND --help'"


class ConfigMissing(OperatorError):
    """there is no configuration at {0}"""

    exit_code = 3
    hint = "run 'recorder-sync init FOLDER FOLDER' to write one, or name it with --config"


class UnknownName(OperatorError):
    """there is no {0} called {1}; known: {2}"""

    exit_code = 4
    hint = "check the spelling; 'recorder-sync status' lists the servers and cameras"


class LayoutUnknown(OperatorError):
    """no recorder layout was recognised in {0}: {1}"""

    exit_code = 5
    hint = "see 'recorder-sync layouts'; describe the names with layout = \"template\""


class NothingToDetect(OperatorError):
    """{0} holds nothing that looks like recordings: {1}"""

    exit_code = 6
    hint = "name the folder that the recorder writes into, one folder for each server"


class FileExistsAlready(OperatorError):
    """{0} exists already"""

    exit_code = 7
    hint = "name another file, or add --force to replace this one"


class OutputFailed(OperatorError):
    """{0} cannot be written: {1}"""

    exit_code = 8
    hint = "name a file or folder that exists and that you may write to, on a disk with space"


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


class PeerUnreachable(OperatorError):
    """peer {0} does not answer: {1}"""

    exit_code = 24
    transient = True
    hint = "check the network and that recorder-sync runs there; gaps stay open and are filled when it is back"


class PeerRefused(OperatorError):
    """peer {0} refuses us: {1}"""

    exit_code = 25
    hint = "pair the two servers anew: 'recorder-sync init' on one, the command it prints on the other"


class PeerUntrusted(OperatorError):
    """what answers as peer {0} is not it: {1}"""

    exit_code = 26
    hint = "nothing was sent; if the server was set up anew, pair the two again, else look for who answers there"


class PeerInvalid(OperatorError):
    """peer {0} sent what cannot be right: {1}"""

    exit_code = 27
    hint = "nothing of it was used; is the same release of recorder-sync running there, and is its disk well?"


class PeerIncompatible(OperatorError):
    """peer {0} speaks another protocol: {1}"""

    exit_code = 28
    hint = "install the same release of recorder-sync on both servers"


class InvitationInvalid(OperatorError):
    """the invitation cannot be used: {0}"""

    exit_code = 62
    hint = "run 'recorder-sync init' or 'recorder-sync invite' on the other host and copy the command it prints"


class TrustUnusable(OperatorError):
    """the keys for the link in {0} cannot be used: {1}"""

    exit_code = 29
    hint = "the folder belongs to the user that runs recorder-sync; restore it, or pair the two servers anew"


class LedgerDamaged(OperatorError):
    """the ledger {0} is damaged: {1}"""

    exit_code = 40
    hint = "run 'recorder-sync scan --rebuild': it sets the damaged file aside and reads the storages anew"


class LedgerNewer(OperatorError):
    """the ledger {0} was written by a newer recorder-sync (revision {1})"""

    exit_code = 41
    hint = "use that release, or name another ledger; this one was not touched"


class LedgerUnreachable(OperatorError):
    """the ledger {0} cannot be opened: {1}"""

    exit_code = 42
    transient = True
    hint = "check the path or the database server and its password"


class LedgerNotDurable(OperatorError):
    """the ledger {0} could lose committed rows in a power cut: {1}"""

    exit_code = 43
    hint = "put it on a local disk; SQLite cannot keep its promises on this file system"


class LedgerForeign(OperatorError):
    """{0} is not a recorder-sync ledger: {1}"""

    exit_code = 44
    hint = "name another file in 'ledger'; this one was not touched"


class LedgerBusy(OperatorError):
    """the ledger {0} is locked by another program: {1}"""

    exit_code = 45
    transient = True
    hint = "wait for the other recorder-sync command to end, then try again"


class LedgerForbidden(OperatorError):
    """the ledger {0} does not let its user in: {1}"""

    exit_code = 46
    hint = "let that user of the database server own the ledger's database, or grant it every right on the tables"


class LedgerReplaced(OperatorError):
    """the ledger {0} was set aside while it was open here"""

    exit_code = 47
    hint = "'scan --rebuild' did it; start this command again and it works with the new one"


class AlreadyRunning(OperatorError):
    """another fill into {0} is running{1}"""

    exit_code = 50
    transient = True
    hint = "wait for it, or stop it; two fills into one storage would fetch the same twice"


class ExtraMissing(OperatorError):
    """{0} needs {1}, which is not installed"""

    exit_code = 51
    hint = "pip install 'recorder-sync[{2}]'"


class CommandFailed(OperatorError):
    """the command after the fill ended with status {0}: {1}"""

    exit_code = 52
    hint = "the files are landed; run the command by hand, it gets their paths on standard input"


class RecorderDatabase(OperatorError):
    """the recorder's database {0} could not be used: {1}"""

    exit_code = 53
    transient = True
    hint = "the files are landed and safe; rows are added by the next fill"


class ServiceManagerMissing(OperatorError):
    """{0} is not at work here: {1}"""

    exit_code = 54
    hint = "'recorder-sync service install --print' shows the unit; or let your own supervisor run 'recorder-sync run'"


class RightsMissing(OperatorError):
    """{0} needs the rights of {1}"""

    exit_code = 59
    hint = "run it again with sudo, or from a console opened as administrator; nothing was changed"


class ServiceCommandFailed(OperatorError):
    """{0} failed: {1}"""

    exit_code = 61
    hint = "'journalctl -u recorder-sync' (Windows: the event viewer) says more; put right what it names and try again"


class ServiceForeign(OperatorError):
    """{0} was not written by 'recorder-sync service install'"""

    exit_code = 57
    hint = "it was not touched; choose another name with --name, or remove it by hand"


class ServiceUnknown(OperatorError):
    """there is no service called {0} here"""

    exit_code = 58
    hint = "run 'recorder-sync service install', or name another with --name"


class AlarmUndelivered(OperatorError):
    """alarm channel {0} did not take the test alarm: {1}"""

    exit_code = 55
    transient = True
    hint = "correct that [[alarms]] table or look at the receiver; real alarms to it are kept and sent again for a week"


class SecretMissing(OperatorError):
    """alarm channel {0} wants ${{{1}}} from the environment, and it is not set"""

    exit_code = 56
    hint = "set it where recorder-sync is started, for a service in its environment file; or correct the name"


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
    """{0} was not changed: {1}"""

    exit_code = 84
    transient = True
    hint = "put right what it names and try again; the file is whole, with the id it had"


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
    """the recorder's service {0} did not {1}: {2}"""

    exit_code = 89
    transient = True
    hint = "look at that service and its log; the recorder's file has the id it had before"


class DemoFailed(OperatorError):
    """the demo did not end as it should: {0}"""

    exit_code = 60
    hint = "run it again with --keep DIR and look at the logs in there; please report it"


class Interrupted(OperatorError):
    """stopped on request"""

    exit_code = EXIT_INTERRUPTED
    transient = True
    hint = "run the same command again: it continues where it stopped"


def catalogue() -> list[type[OperatorError]]:
    """Return every error class, by exit code."""
    return sorted(OperatorError.__subclasses__(), key=lambda kind: kind.exit_code)


def hint_of(error: OperatorError) -> str:
    """Return what to do about `error`, with its details filled in."""
    return string.Formatter().vformat(error.hint, error.details, {})
