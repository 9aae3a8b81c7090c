"""What the facts mean: one pure function for each kind of thing that is examined.

Rule: no clock, disk or network. Each says what is, in figures, and what to do; a thing that is good is said to be good,
so that an operator sees that it was looked at.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from backfill.layouts.capabilities import Advice, Sight
from recorder_sync.doctor.facts import Place
from recorder_sync.doctor.findings import About, Finding
from schema.errors import OperatorError
from schema.moments import human_duration, human_size
from schema.spans import DAY, SECOND

_FAR = frozenset({"9p", "afs", "ceph", "cifs", "fuse.glusterfs", "fuse.sshfs", "nfs", "nfs4", "smb3", "smbfs"})
"""File systems that lie on another machine: the kernel does not tell what others change there."""

_FILES_LEAST = 1024
_NAMES_LEAST = 0.5
_CERTIFICATE_SOON = 7 * DAY


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageFacts:
    """What was found of one storage here."""

    title: str
    layout: str
    root: Place
    missing: OperatorError | None = None
    """Why it cannot be read."""
    sampled: int = 0
    """Media files that were looked at."""
    read: int = 0
    """How many of their names the layout reads."""
    known: int = 0
    """Sealed segments in the ledger."""
    denied: tuple[str, ...] = ()
    scanned_age: int | None = None
    """Microseconds since the ledger was last brought up to it; None: never."""
    odd: tuple[str, ...] = ()
    """What scans could not read or did not recognise, as sentences."""
    into_tree: bool = True
    """Whether filled segments go into the recorder's tree; else beside it."""
    side: Place | None = None
    state: Place | None = None
    state_missing: OperatorError | None = None
    folders: int | None = None
    """Folders that have to be watched; None: nothing is, the storage is only listed now and then."""
    spare: int = 0
    """Bytes of free space that the recorder itself needs."""
    advice: tuple[Advice, ...] = ()
    """What is to be said of the recorder's needs beyond those of any folder."""


def storage(facts: StorageFacts, *, reserve: int, rescan: int, watches: int | None) -> Iterator[Finding]:
    """Yield what is to be said of a storage. `reserve`: bytes, as configured; `rescan` in microseconds."""
    about = About("storage", facts.title)
    if facts.missing is not None:
        yield about.error(facts.missing)
        return
    yield from _names(about, facts)
    yield from _scanned(about, facts, rescan)
    yield from _landing(about, facts)
    yield from _space(about, facts, reserve)
    yield from _watching(about, facts, watches)
    for one in facts.advice:
        yield _advised(about, one)


def _advised(about: About, advice: Advice) -> Finding:
    if advice.sight is Sight.WRONG:
        return about.warning(advice.says, advice.do)
    return about.ok(advice.says) if advice.sight is Sight.GOOD else about.unknown(advice.says, advice.do)


def _names(about: About, facts: StorageFacts) -> Iterator[Finding]:
    root = facts.root.path
    if facts.denied:
        yield about.problem(
            f"{len(facts.denied):,} folders may not be read, the first is {facts.denied[0]}",
            "give the account that runs recorder-sync the right to read them",
        )
    if not facts.sampled and facts.known:
        yield about.ok(f"{root} is readable; {facts.known:,} recordings are known")
    elif not facts.sampled and facts.scanned_age is None:
        yield about.ok(f"{root} is readable")  # what is in it a scan will tell
    elif not facts.sampled:
        yield about.warning(f"{root} holds no recordings yet", "check the path, and that the recorder writes there")
    elif facts.read < facts.sampled * _NAMES_LEAST:
        yield about.problem(
            f"of {facts.sampled:,} media files only {facts.read:,} are named as {facts.layout} names them",
            "check layout and its options; 'recorder-sync layouts' lists what is known",
        )
    else:
        yield about.ok(f"{root} is readable; {facts.read:,} of {facts.sampled:,} names are {facts.layout}'s")
    for sentence in facts.odd:
        yield about.warning(sentence, "see 'recorder-sync scan'")


def _scanned(about: About, facts: StorageFacts, rescan: int) -> Iterator[Finding]:
    age = facts.scanned_age
    if age is None:
        yield about.warning("it was never scanned", "run 'recorder-sync scan', or the service")
    elif age > 2 * rescan:
        yield about.warning(
            f"it was last scanned {human_duration(age)} ago", "start the service, or run 'recorder-sync scan'"
        )
    else:
        yield about.ok(f"it was scanned {human_duration(age)} ago")


def _landing(about: About, facts: StorageFacts) -> Iterator[Finding]:
    """Yield whether filled segments can be staged and given their names."""
    if facts.state_missing is not None:
        yield about.error(facts.state_missing)
        return
    target = facts.root if facts.into_tree else facts.side
    assert target is not None
    assert facts.state is not None
    for what, one in (("filled recordings go to", target), ("staging and notes go to", facts.state)):
        if not one.writable:
            yield about.problem(
                f"{what} {one.path}, which this account may not write",
                "give it the right, or run this as the account of the service",
            )
    if None not in (target.disk, facts.state.disk) and target.disk != facts.state.disk:
        yield about.problem(
            f"{facts.state.path} is on another file system than {target.path}: nothing can be moved in whole",
            "set 'state' of this storage to a folder on the recordings' own file system",
        )


def _space(about: About, facts: StorageFacts, reserve: int) -> Iterator[Finding]:
    free, kept = facts.root.free, max(reserve, facts.spare)
    if free is None:
        yield about.unknown("its free space cannot be asked")
    elif free <= kept:
        # What the recorder itself needs is kept whatever fill.reserve says.
        helps = ", or lower fill.reserve" if free > facts.spare else ""
        yield about.problem(
            f"{human_size(free)} free, {human_size(kept)} are kept for live recording: nothing is filled",
            f"free some space{helps}",
        )
    else:
        yield about.ok(f"{human_size(free)} free, of which {human_size(kept)} stay for live recording")


def _watching(about: About, facts: StorageFacts, watches: int | None) -> Iterator[Finding]:
    kind = facts.root.filesystem
    if facts.folders is None:
        return
    if kind in _FAR:
        yield about.warning(
            f"it lies on {kind}, where the kernel does not tell what others write: it is listed anew now and then",
            "run recorder-sync on the recorder's own host; see docs/guide/two-hosts.md",
        )
    elif watches is not None and facts.folders > watches:
        yield about.warning(
            f"{facts.folders:,} folders are to be watched, {watches:,} may be",
            f"raise fs.inotify.max_user_watches above {facts.folders:,}",
        )


def ledger(address: str, place: Place | None) -> Finding:
    """Return what is to be said of a ledger that could be opened. `place`: of a file; None for a server's."""
    about = About("ledger", address)
    if place is None:
        return about.ok("it can be opened and is of this release")
    if place.filesystem in _FAR:
        return about.problem(
            f"it lies on {place.filesystem}, where SQLite cannot keep it safe",
            "put it on a disk of this host, or use PostgreSQL",
        )
    if not place.writable:
        return about.problem(
            "this account may not write it", "give it the right, or run this as the account of the service"
        )
    return about.ok("it can be opened, is of this release, and lies on a disk of this host")


def clock(synchronised: bool | None) -> Finding:
    """Return what is to be said of this host's clock."""
    about = About("host", "clock")
    if synchronised is None:
        return about.unknown("whether a time service keeps it cannot be asked here", "see that NTP is on")
    if not synchronised:
        return about.warning(
            "no time service keeps it: the kernel says that it is not synchronised",
            "turn NTP on (systemd-timesyncd, chrony); a wrong clock moves the edges of every gap",
        )
    return about.ok("a time service keeps it")


def files(limit: int | None) -> Finding:
    """Return what is to be said of how many files may be open."""
    about = About("host", "open files")
    if limit is not None and limit < _FILES_LEAST:
        return about.warning(f"{limit:,} files may be open at once", f"raise the limit (ulimit -n) to {_FILES_LEAST:,}")
    return about.ok("as many may be open as one likes" if limit is None else f"{limit:,} may be open at once")


def certificate(left: int) -> Finding:
    """Return what is to be said of what this host shows its peers; `left`: microseconds until it ends."""
    about = About("link", "certificate")
    if left <= 0:
        return about.problem("it has ended: no peer accepts it", "start the service, which renews it")
    if left < _CERTIFICATE_SOON:
        return about.warning(f"it ends in {human_duration(left)}", "start the service, which renews it")
    return about.ok(f"it lasts {human_duration(left)} more; the service renews it")


def peer(server: str, *, ours: int, theirs: int, trip: int, limit: int) -> Iterator[Finding]:
    """Yield what is to be said of a peer that answered. `ours`: our time halfway; `trip`: how long it took.

    All in microseconds; `limit`: from when on a difference of clocks holds filling back.
    """
    about = About("peer", server)
    yield about.ok(f"it answers within {trip / 1000:.0f} ms and knows this host")
    offset = theirs - ours
    sure = abs(offset) - trip // 2
    if sure > limit:
        yield about.problem(
            f"its clock is {_signed(offset)} from ours, more than {human_duration(limit)}: nothing is filled",
            "set both clocks by NTP; see docs/guide/two-hosts.md",
        )
    elif sure > SECOND:
        yield about.warning(f"its clock is {_signed(offset)} from ours", "set both clocks by NTP")
    else:
        yield about.ok(f"its clock is {_signed(offset)} from ours, known within {trip / 2000:.0f} ms")


def _signed(offset: int) -> str:
    return f"{offset / SECOND:+.3f} s"


def service(problem: str) -> Finding:
    """Return what is to be said of the service here. `problem`: why it did not answer, empty if it did."""
    about = About("service", "recorder-sync run")
    if problem:
        return about.warning(problem, "start it: 'recorder-sync run', or 'recorder-sync service install'")
    return about.ok("it is running")


def alarms(problems: Mapping[str, OperatorError | None]) -> Iterator[Finding]:
    """Yield what is to be said of the channels; each with what is wrong with its settings here."""
    if not problems:
        yield About("alarms", "channels").warning(
            "none is configured: nobody is told of an outage", "add an [[alarms]] table; see docs/guide/two-hosts.md"
        )
    for name, problem in problems.items():
        about = About("alarms", name)
        yield (
            about.ok("its settings are complete here; 'recorder-sync alarms test' tries it")
            if (problem is None)
            else about.error(problem)
        )
