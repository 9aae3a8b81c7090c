"""The ledger's history: one Alembic revision a change, from the first release on.

Rule: a revision is never edited once released. `HEAD` is stated here so that opening a current ledger need not load
Alembic (0.3 s); a test holds it against the scripts.
"""

HEAD = "0002"
