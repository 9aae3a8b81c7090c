"""How recorders name and close their files: one module a recorder, reached through `Layout`.

Rule: what is known of one vendor lives in one module here and nowhere else. Third parties add a layout through the
entry point group `recorder_sync.layouts`.
"""

from backfill.layouts.base import CompleteRule, EndRule, Layout, Named, Stamp, StartRule, Traits
from backfill.layouts.registry import available, build

__all__ = ["CompleteRule", "EndRule", "Layout", "Named", "Stamp", "StartRule", "Traits", "available", "build"]
