"""The ledger that cannot be used: damaged, newer, away, not durable, not ours.

Rule: a ledger that is not understood is not touched; the exit codes are 40 to 47.
"""

from schema.errors.base import OperatorError


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
