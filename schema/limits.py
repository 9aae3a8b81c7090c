"""How much one peer may make this host keep and hold, whatever it says; what one message may hold stands in `wire`.

Rule: each limit is far beyond what a real fleet needs, and small enough that a peer at every limit at once costs a disk
of gigabytes and a memory of one or two. What honest peers may reach some day is cut and goes on later; what none can
reach is an error that names the limit (docs/design/0016-bounds.md).
"""

from schema.spans import DAY

NAMES_AT_MOST = 20_000
"""Names of cameras, servers and storages that one peer brings into the ledger, where they stay: 1,000 cameras, each
renamed nineteen times."""

BUCKETS_AT_MOST = 25_000_000
"""Of coverage, four hours each, that are kept of one peer: 1,000 cameras for eleven years."""
COVERAGE_AT_MOST = 2 * 2**30
"""Bytes of them: 85 for each. One of a camera that records all the time has about 40; one of a camera that records on
motion, forty times in four hours, about 1,000: 1,000 such cameras for a year."""

OUTAGES_KEPT = 20_000
"""That one peer told of: those that last, and the newest; older ones are dropped. No error, as years may bring more."""
OUTAGE_AT_MOST = 3653 * DAY
"""A longer one is none: somewhere a clock had lost its time."""

SEGMENTS_HELD = 1_000_000
"""That one peer is asked for at once, for one plan: files of a minute of 1,000 cameras for 16 hours. What lies beyond
stays fillable, and is asked for when these are here."""
LETTERS_OF_ONE = 256
"""Of a path; one that is longer counts as several segments."""
