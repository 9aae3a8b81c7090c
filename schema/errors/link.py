"""A peer on another host: reaching it, trusting it, and becoming its peer.

Rule: nothing that an untrusted peer sent is used; the exit codes are 24 to 29, and 62.
"""

from schema.errors.base import OperatorError


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
