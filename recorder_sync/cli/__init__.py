"""The command line. Each command's code is imported when it is called, so that `--help` is instant."""

from recorder_sync.cli.main import main

__all__ = ["main"]
