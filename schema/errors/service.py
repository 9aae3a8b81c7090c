"""The service on its host and the alarms it sends.

Rule: what another put on the host is never changed; the exit codes are 54 to 59, and 61.
"""

from schema.errors.base import OperatorError


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
