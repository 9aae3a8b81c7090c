"""What `recorder-sync clone-id --json` prints."""

import msgspec


class SignalDocument(msgspec.Struct, frozen=True, kw_only=True):
    """One look at whether the primary's recorder lives. `reading` is `alive`, `down`, `silent` or `unknown`."""

    source: str
    reading: str
    said: str


class IdentityDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`recorder-sync clone-id --json`.

    `state`: `cloned`, `already` (it has that id), `returned` (its own again), `learnt` (the primary's id is kept),
    `planned` (`--dry-run`: it would be done) or `refused`. `before` and `after` are the one line that differs.
    """

    generated: str
    state: str
    file: str | None
    own: str | None
    """The id of the recorder here."""
    now: str | None
    """The id that it has at the moment."""
    server: str
    """Whose id is, or was, to be taken."""
    wanted: str | None
    read: str | None
    """When that id was read from its server."""
    source: str | None
    digest: str | None
    """Of the file that it was read from."""
    allowed: bool | None
    verdict: str
    signals: list[SignalDocument] = []
    line: int | None = None
    before: str | None = None
    after: str | None = None
    service: str | None = None
    """What the recorder's service here does now."""
    backup: str | None = None
    notes: list[str] = []
