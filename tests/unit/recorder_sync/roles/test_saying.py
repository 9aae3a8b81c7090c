"""What a role says: every sentence in the status, and in the log once what is new."""

from structlog.testing import capture_logs

from recorder_sync.roles.decide import Act, Decision, Phase
from recorder_sync.roles.saying import Saying
from schema.errors import ServiceUnknown

STANDBY = Decision(Act.NOTHING, Phase.STANDBY, "standby: it answers")
DOUBT = Decision(Act.NOTHING, Phase.DOUBT, "standby, in doubt")
RETURN = Decision(Act.RETURN, Phase.CHANGING, "it lives; its id is given back")
ERROR = ServiceUnknown("recorder")


def said(*steps: Decision | ServiceUnknown) -> tuple[list[str], list[str]]:
    """Return the sentences that the status had, and the events of the log."""
    told: list[str] = []
    saying = Saying(told.append, decided="decided", failed="failed")
    with capture_logs() as log:
        for step in steps:
            if isinstance(step, Decision):
                saying.decided(step)
            else:
                saying.failed(step, "tried again later")
        saying.nothing()
    return told, [f"{one['event']} {one['said']}" for one in log]


def test_every_sentence_is_told_and_one_a_phase_is_logged() -> None:
    told, log = said(STANDBY, STANDBY, DOUBT, STANDBY)
    assert told == [STANDBY.said, STANDBY.said, DOUBT.said, STANDBY.said, ""]
    assert log == [f"decided {one.said}" for one in (STANDBY, DOUBT, STANDBY)]


def test_a_failure_is_logged_once_until_things_are_well_again() -> None:
    told, log = said(STANDBY, ERROR, ERROR, STANDBY, ERROR)
    assert told.count("tried again later") == 3
    assert log == [f"decided {STANDBY.said}", f"failed {ERROR}"] * 2


def test_what_fails_at_every_try_is_logged_once() -> None:
    _, log = said(RETURN, ERROR, RETURN, ERROR, RETURN, ERROR)
    assert log == [f"decided {RETURN.said}", f"failed {ERROR}"]
