"""What an operator asked for that cannot be: the command line, the configuration, the names in it, where to write.

Rule: trying the same again never helps; the exit codes are 2 to 8.
"""

from schema.errors.base import EXIT_USAGE, OperatorError


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
