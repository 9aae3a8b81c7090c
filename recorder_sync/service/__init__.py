"""The companion service: watches its recorder's storages, keeps in touch with its peers, and fills what is missing.

Rule: each part decides in pure functions and acts in one small task; what one part learns reaches the others through
the ledger, `Live` and one wake-up. Any part may fail and is tried again; the service as a whole ends only on request or
on a defect.
"""
