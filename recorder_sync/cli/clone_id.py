"""`recorder-sync clone-id`: give the recorder here the primary's id, or its own one back.

Rule: shows first, asks, then acts; whether it may act is decided in `identity.interlock`, how in `identity.clone`.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import msgspec

from recorder_sync.app import now
from recorder_sync.cli.agreeing import agreed
from recorder_sync.cli.output import complaints, print_document, results
from recorder_sync.identity.clone import Outcome, Result, Situation
from recorder_sync.identity.clone import situation as look
from recorder_sync.identity.guid import canonical, same
from recorder_sync.identity.here import Here
from recorder_sync.identity.interlock import Signal, must_return, phrase
from recorder_sync.identity.vault import Known
from recorder_sync.identity.view import difference, shown, signals_table
from schema.documents import IdentityDocument, SignalDocument
from schema.errors import EXIT_DONE, EXIT_FOUND, IdentityNotTaken, IdentityRefused, UsageInvalid
from schema.moments import clock, iso
from schema.settings import Settings, load

_UNNAMED = "primary"
"""What the primary is called where only its file or id was named."""
_TYPED = "the command line"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the operator asked for."""

    source: str | None
    target: Path | None
    undo: bool
    learn: bool
    dry_run: bool
    force: str | None
    yes: bool


def run(config: Path, asked: Asked, *, as_json: bool) -> int:
    """Do what was asked; returns the exit code."""
    if asked.undo and (asked.learn or asked.source or asked.force):
        raise UsageInvalid("--undo", "it needs to know of no other recorder: leave --learn, --from and --force out")
    here = Here.of(_overridden(load(config), asked), now)
    if asked.learn:
        return _learn(here, as_json)
    if asked.undo:
        return _undo(here, asked, as_json)
    return _clone(here, asked, as_json)


def _overridden(settings: Settings, asked: Asked) -> Settings:
    """Return the configuration with what the command line says instead."""
    rules, changes = settings.identity, {}
    if asked.target is not None:
        changes["config"] = os.path.abspath(asked.target)
    if asked.source is not None:
        changes["primary"] = rules.primary or _UNNAMED
        if canonical(asked.source) is None:
            changes["primary_config"] = os.path.abspath(asked.source)
    return msgspec.structs.replace(settings, identity=msgspec.structs.replace(rules, **changes))


def _learn(here: Here, as_json: bool) -> int:
    found, changed = here.learn()
    document = _with_known(_document(here, "learnt", found.server), found)
    if as_json:
        print_document(document)
    else:
        what = "is kept" if changed else "is the same as before, and is kept anew"
        results().print(f"the recorder id of {found.server}, {found.id}, {what}", soft_wrap=True)
        results().print(f"read from {found.source} at {clock(found.at)}, digest {found.digest}", soft_wrap=True)
    return EXIT_DONE


def _undo(here: Here, asked: Asked, as_json: bool) -> int:
    found = look(here.path, here.place)
    entry = found.entry
    if entry is None:
        raise IdentityNotTaken(here.path)
    change = difference(here.path, found.document, entry.own)
    document = msgspec.structs.replace(
        _document(here, "planned", entry.server, found),
        wanted=entry.own,
        line=change.line,
        before=change.before,
        after=change.after,
    )
    if not as_json:
        results().print(shown(change), soft_wrap=True)
    if asked.dry_run:
        return _ended(document, as_json)
    steps = [
        f"stop the service {here.rules.service!r}",
        f"give {here.path} its own id {entry.own} back",
        "start the service again, if it runs now",
    ]
    if not agreed(steps, "clone-id --undo", yes=asked.yes):
        return EXIT_FOUND
    return _done(document, here.cloner().undo(), as_json)


def _clone(here: Here, asked: Asked, as_json: bool) -> int:
    server = here.primary
    if asked.force is not None and asked.force != phrase(server):
        raise UsageInvalid("--force", f"type it in these words: {phrase(server)!r}")
    forced = asked.force is not None
    found = look(here.path, here.place)
    wanted, late = _wanted(here, asked)
    signals = here.signals()
    verdict = here.judged(signals, forced)
    change = difference(here.path, found.document, wanted.id)
    notes = [f"the id is as it was read at {clock(wanted.at)}: {late}"] if late else []
    document = msgspec.structs.replace(
        _with_known(_document(here, "planned" if verdict.allowed else "refused", server, found), wanted),
        allowed=verdict.allowed,
        verdict=verdict.said,
        signals=[SignalDocument(source=one.source, reading=one.reading, said=one.said) for one in signals],
        line=change.line,
        before=change.before,
        after=change.after,
        notes=notes,
    )
    if same(found.document.id, wanted.id) and (found.entry is None or found.entry.step == "taken"):
        return _already(here, document, signals, as_json)
    if not as_json:
        results().print(shown(change), soft_wrap=True)
        results().print(signals_table(signals))
        for note in notes:
            results().print(f"note: {note}", soft_wrap=True)
    if not verdict.allowed:
        _ended(document, as_json)
        if asked.dry_run and not as_json and must_return(server, signals) is None:
            results().print(f"to vouch for it: --force '{phrase(server)}'", soft_wrap=True)
        raise IdentityRefused(server, verdict.said)
    if asked.dry_run:
        return _ended(document, as_json)
    steps = [
        verdict.said,
        f"stop the service {here.rules.service!r}",
        f"give {here.path} the id {wanted.id} of {server} in place of its own {found.own}",
        "start the service again, if it runs now",
    ]
    if not agreed(steps, "clone-id", yes=asked.yes):
        return EXIT_FOUND
    return _done(document, here.cloner().clone(wanted, lambda: here.verdict(forced)), as_json)


def _wanted(here: Here, asked: Asked) -> tuple[Known, str]:
    """Return the id to be given, and what kept it from being read from the primary now."""
    typed = asked.source
    if typed is not None and canonical(typed) is not None:
        return Known(server=here.primary, id=typed, digest="", at=here.now(), source=_TYPED), ""
    return here.known()


def _already(here: Here, document: IdentityDocument, signals: list[Signal], as_json: bool) -> int:
    """Say that there is nothing to do; that the primary lives as well is bad news."""
    back = must_return(document.server, signals)
    notes = list(document.notes)
    if back is not None:
        notes.append(f"{back}: 'recorder-sync clone-id --undo' gives its id back, do it now")
    if as_json:
        print_document(msgspec.structs.replace(document, state="already", notes=notes))
    else:
        results().print(f"{here.path} has the id {document.now} of {document.server}; nothing to do", soft_wrap=True)
        for note in notes:
            complaints().print(f"note: {note}", soft_wrap=True)
    return EXIT_DONE if back is None else EXIT_FOUND


def _done(document: IdentityDocument, outcome: Outcome, as_json: bool) -> int:
    document = msgspec.structs.replace(
        document,
        state=outcome.result.value,
        own=outcome.own,
        now=outcome.now,
        service=outcome.service.value,
        backup=outcome.backup or None,
        notes=[*document.notes, *outcome.notes],
    )
    if as_json:
        print_document(document)
        return EXIT_DONE
    console = results()
    what = "its own id" if outcome.result is Result.RETURNED else f"the id of {outcome.server}"
    console.print(f"the recorder here has {what}, {outcome.now}; its service is {outcome.service}", soft_wrap=True)
    if outcome.backup:
        console.print(f"the file as it was: {outcome.backup}", soft_wrap=True)
    for note in outcome.notes:
        console.print(f"note: {note}", soft_wrap=True)
    return EXIT_DONE


def _ended(document: IdentityDocument, as_json: bool) -> int:
    """End without having changed anything."""
    if as_json:
        print_document(document)
    elif document.verdict:
        results().print(document.verdict, soft_wrap=True)
    return EXIT_DONE


def _document(here: Here, state: str, server: str, found: Situation | None = None) -> IdentityDocument:
    return IdentityDocument(
        generated=iso(now()),
        state=state,
        file=here.rules.config,
        own=None if found is None else found.own,
        now=None if found is None else found.document.id,
        server=server,
        wanted=None,
        read=None,
        source=None,
        digest=None,
        allowed=None,
        verdict="",
    )


def _with_known(document: IdentityDocument, known: Known) -> IdentityDocument:
    """Return the document with the id that is wanted and where it comes from."""
    return msgspec.structs.replace(
        document, wanted=known.id, read=iso(known.at), source=known.source, digest=known.digest or None
    )
