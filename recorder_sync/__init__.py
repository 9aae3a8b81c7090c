"""The companion service: composition, command line, demo.

Rule: this is where the parts are put together; nothing below knows it.
"""

from recorder_sync.version import __version__

__all__ = ["__version__"]
