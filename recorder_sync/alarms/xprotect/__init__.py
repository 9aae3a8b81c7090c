"""Alarms to Milestone XProtect: what is sent (`shapes`), and the three doors it is sent through.

Rule: only what the vendor's own samples and manuals show is sent, and an answer counts as "delivered" only if it says
so. None of this was ever run against a real XProtect; docs/guide/xprotect-alarms.md says how sure each part is.
"""
