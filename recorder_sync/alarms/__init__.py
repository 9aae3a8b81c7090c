"""Telling operators: what an alarm says (`kinds`), how it is sent (`channels`), and when (`dispatch`).

Rule: nothing here decides that something happened. Whoever does raises the alarm in its own transaction, through
`ledger.outbox`; the dispatcher alone sends.
"""
