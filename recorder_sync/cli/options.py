"""The options that several commands share.

Rule: one meaning and one wording each; nothing heavy is imported here.
"""

from pathlib import Path
from typing import Annotated

import typer

Config = Annotated[
    Path,
    typer.Option(
        "--config", "-c", envvar="RECORDER_SYNC_CONFIG", help="Configuration file.", metavar="FILE", show_default=True
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")]
Since = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Look from here on: 2026-11-22, 2026-11-22T10:00:00Z, or 2h for two hours ago."),
]
Until = Annotated[str | None, typer.Option(metavar="TIME", help="Look up to here; forms as for --since.")]
Cameras = Annotated[list[str] | None, typer.Option("--camera", metavar="NAME", help="Only this camera; repeatable.")]
Servers = Annotated[list[str] | None, typer.Option("--server", metavar="NAME", help="Only this server; repeatable.")]
NoScan = Annotated[
    bool, typer.Option("--no-scan", help="Use what the ledger knows; do not look at the storages first.")
]

DEFAULT = Path("recorder-sync.toml")
