"""The ledger: the only door to the database.

Rule: SQLAlchemy is imported in `schema.tables`, `schema.migrations` and here, nowhere else. The ledger never claims
what storage lacks; all but the history of fills and outages can be rebuilt from the storages.
"""

from sqlalchemy import Connection

from schema.ledger.coverage import Held
from schema.ledger.ledger import Ledger

__all__ = ["Connection", "Held", "Ledger"]
