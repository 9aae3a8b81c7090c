"""What can end a command whatever it works on: a part that is not installed, the demo's own verdict, a request to stop.

Rule: as in every family, a class each with its exit code; here 51, 60 and 130.
"""

from schema.errors.base import EXIT_INTERRUPTED, OperatorError


class ExtraMissing(OperatorError):
    """{0} needs {1}, which is not installed"""

    exit_code = 51
    hint = "pip install 'recorder-sync[{2}]'"


class DemoFailed(OperatorError):
    """the demo did not end as it should: {0}"""

    exit_code = 60
    hint = "run it again with --keep DIR and look at the logs in there; please report it"


class Interrupted(OperatorError):
    """stopped on request"""

    exit_code = EXIT_INTERRUPTED
    transient = True
    hint = "run the same command again: what was finished by then is not lost"
