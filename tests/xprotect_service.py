"""The simulated XProtect recorder as a process: `python -m tests.xprotect_service BANK DEVICE`, until SIGTERM.

It makes the bank's index anew if that is away, then writes the device's live table several times a second.
"""

import sys
import time
from pathlib import Path

from schema.spans import SECOND
from tests.xprotect import FRONT, YARD, Recorder


def main(bank: Path, device: str) -> None:
    """Record until ended."""
    recorder = Recorder(bank, {FRONT: "Shoe Store", YARD: "Yard & gate"}, seed=1)
    now = time.time_ns() // 1000
    recorder.wake(now)
    while True:
        recorder.record(device, now, time.time_ns() // 1000 + SECOND)
        time.sleep(0.1)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
