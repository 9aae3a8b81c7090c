"""`recorder-sync run`: the companion service in the foreground, as systemd wants it."""

import logging
import sys
from pathlib import Path

import structlog

from recorder_sync.service.run import serve


def run(config: Path) -> int:
    """Serve until SIGTERM or Ctrl-C; returns the exit code."""
    set_up_logs()
    serve(config)
    return 0


def set_up_logs() -> None:
    """Log to stderr: lines for people in a terminal, one JSON object a line elsewhere."""
    people = sys.stderr.isatty()
    stamps = structlog.processors.TimeStamper(fmt="%H:%M:%S" if people else "iso", utc=not people)
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.ExtraAdder(),
        structlog.processors.add_log_level,
        stamps,
        structlog.processors.format_exc_info,
    ]
    last = structlog.dev.ConsoleRenderer() if people else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[structlog.processors.add_log_level, stamps, structlog.processors.format_exc_info, last],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processor=last))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("aiohttp").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
