"""Every shape that outlives a process: spans, values, errors, settings, tables and the ledger.

Rule: this package knows nothing of recorders, disks or operators; it imports neither `backfill` nor
`recorder_sync`.
"""
