"""What a recording's container says of itself - duration, closed, whole - without opening a codec.

Rule: MP4 and Matroska are walked by hand (0.02 ms a file; a player's word costs 100 ms and calls a file cut in half
whole). What cannot be told is None, never a guess.
"""

from backfill.containers.probe import Probe, flavour, probe

__all__ = ["Probe", "flavour", "probe"]
