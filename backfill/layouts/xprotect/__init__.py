"""Milestone XProtect's media database: what is known of it lives in this package and nowhere else.

`names` reads folder names, `cache` the recorder's index, `bank` a bank's limits, `tables` puts index and disk together,
`index` does the reading for a scan, `recognise` for `init`, `stopped` for an import, `writing` makes an index of what
was filled, `layout` is the `Layout`. Each fact with its certainty: docs/guide/xprotect.md. Nothing here was tried on a
live recorder.
"""

from backfill.layouts.xprotect.layout import XProtect

__all__ = ["XProtect"]
