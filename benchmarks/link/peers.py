"""Who is measured over the network: recorder-sync, what people use instead, and a bare stream.

Rule: each tool's own server, with as little set up as it needs, on a port of its own; the destination pulls, as ours.
"""

import getpass
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import cast

from benchmarks.link.pair import LinkedPair, worker
from benchmarks.link.servers import running
from benchmarks.pair import DESTINATION, SOURCE, Pair
from benchmarks.peers import OURS, Peer, named

PLAIN = f"{OURS}, no encryption"
LIMIT = "one stream: sendfile, receive, write, fsync"
RSYNC_SSH = "rsync over ssh"
RSYNC_DAEMON = "rsync daemon"
RCLONE_SFTP = "rclone sftp"

_RSYNC = "sum of what was sent, not of what was written"
_CHUNKS = "XXH3-128 of every chunk where it was read and here, kept in the ledger"
_SYNCTHING = "Syncthing: left out, two of its instances are no copy command; see docs/benchmarks.md"


def _linked(pair: Pair) -> LinkedPair:
    return cast(LinkedPair, pair)


def ours(who: str, encryption: str, *, fill: str = "", link: str = "") -> Peer:
    """Return the product: the source's whole service, and a fill as the destination's would do it."""

    def serve(pair: Pair) -> AbstractContextManager[Sequence[int]]:
        one = _linked(pair)
        one.configured(SOURCE, encryption=encryption, link=link)
        one.configured(DESTINATION, encryption=encryption, fill=fill)
        return one.service()

    return Peer(
        who=who,
        verifies=_CHUNKS + ("; TLS 1.3, both sides' certificates" if encryption == "tls" else ""),
        syncs=True,
        works=True,
        serve=serve,
        command=lambda pair: [
            *_linked(pair).line.at_destination,
            *worker("fill", str(pair.base / f"{DESTINATION}.toml")),
        ],
    )


@contextmanager
def _limit(pair: Pair) -> Iterator[tuple[int, ...]]:
    one = _linked(pair)
    command = [*one.line.at_source, *worker("send", str(pair.source), str(pair.names), one.line.host, str(one.port))]
    with running(command, one.line, one.port) as pids:
        yield pids


def _told(pair: Pair) -> list[str]:
    return [str(pair.source), str(pair.landing), str(pair.names)]


def _receive(pair: Pair) -> list[str]:
    one = _linked(pair)
    return [*one.line.at_destination, *worker("receive", *_told(pair), one.line.host, str(one.port))]


def _sshd(pair: Pair) -> AbstractContextManager[Sequence[int]]:
    """An own sshd with its own keys, which lets in who has the benchmark's."""
    one, folder = _linked(pair), pair.base / "ssh"
    if not folder.exists():
        folder.mkdir(mode=0o700)
        for key in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key)], check=True)
        (folder / "config").write_text(
            f"ListenAddress {one.line.host}\nPort {one.port}\nHostKey {folder}/host\nPidFile none\n"
            f"AuthorizedKeysFile {folder}/user.pub\nStrictModes no\nUsePAM no\nPermitRootLogin prohibit-password\n"
            "PasswordAuthentication no\nSubsystem sftp internal-sftp\n"
        )
    if os.geteuid() == 0:
        os.makedirs("/run/sshd", mode=0o755, exist_ok=True)  # it refuses to start without
    command = [*one.line.at_source, _sshd_path() or "", "-D", "-e", "-f", str(folder / "config")]
    return running(command, one.line, one.port)


def _sshd_path() -> str | None:
    return shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")


def _rsync_ssh(pair: Pair) -> list[str]:
    one, folder = _linked(pair), pair.base / "ssh"
    ssh = (
        f"ssh -F none -p {one.port} -i {folder}/user -o IdentitiesOnly=yes -o BatchMode=yes -o LogLevel=ERROR"
        f" -o StrictHostKeyChecking=no -o UserKnownHostsFile={folder}/known"
    )
    source = f"{getpass.getuser()}@{one.line.host}:{pair.source}/"
    rsync = ["rsync", "-a", "--stats", *named(pair), "-e", ssh]
    return [*one.line.at_destination, *rsync, source, f"{pair.landing}/"]


def _rsyncd(pair: Pair) -> AbstractContextManager[Sequence[int]]:
    one, config = _linked(pair), pair.base / "rsyncd.conf"
    config.write_text(
        f"address = {one.line.host}\nport = {one.port}\nuse chroot = no\nuid = {os.getuid()}\ngid = {os.getgid()}\n"
        f"log file = {pair.base}/rsyncd.log\n[recordings]\npath = {pair.source}\nread only = yes\n"
    )
    return running([*one.line.at_source, "rsync", "--daemon", "--no-detach", f"--config={config}"], one.line, one.port)


def _rsync_daemon(pair: Pair) -> list[str]:
    one = _linked(pair)
    source = f"rsync://{one.line.host}:{one.port}/recordings/"
    return [*one.line.at_destination, "rsync", "-a", "--stats", *named(pair), source, f"{pair.landing}/"]


def _own_rclone(pair: Pair) -> list[str]:
    """Return rclone with no configuration of its user's, and with its caches here."""
    config = pair.base / "rclone.conf"
    config.touch()
    return ["rclone", "--config", str(config), "--cache-dir", str(pair.base / "rclone")]


def _rclone_serve(protocol: str, *options: str) -> Callable[[Pair], AbstractContextManager[Sequence[int]]]:
    def serve(pair: Pair) -> AbstractContextManager[Sequence[int]]:
        one = _linked(pair)
        address = f"{one.line.host}:{one.port}"
        command = [*_own_rclone(pair), "serve", protocol, str(pair.source), "--addr", address, *options]
        return running([*one.line.at_source, *command], one.line, one.port)

    return serve


def _rclone_copy(protocol: str) -> Callable[[Pair], list[str]]:
    def command(pair: Pair) -> list[str]:
        one = _linked(pair)
        options = {
            "http": [f"--http-url=http://{one.line.host}:{one.port}"],
            "webdav": [f"--webdav-url=http://{one.line.host}:{one.port}"],
            "sftp": [
                *(f"--sftp-host={one.line.host}", f"--sftp-port={one.port}", "--sftp-user=benchmark"),
                f"--sftp-pass={_obscured()}",
            ],
        }[protocol]
        copy = [*_own_rclone(pair), "copy", "--quiet", *options, f":{protocol}:", str(pair.destination)]
        return [*one.line.at_destination, *copy]

    return command


def _obscured() -> str:
    said = subprocess.run(["rclone", "obscure", "benchmark"], capture_output=True, text=True, check=True)
    return said.stdout.strip()


def _rclone(protocol: str, verifies: str, *options: str) -> Peer:
    return Peer(
        who=f"rclone {protocol}",
        verifies=verifies,
        syncs=False,
        tool="rclone",
        serve=_rclone_serve(protocol, *options),
        command=_rclone_copy(protocol),
    )


TLS = ours(OURS, "tls")
UNENCRYPTED = ours(PLAIN, "none")
DAEMON = Peer(who=RSYNC_DAEMON, verifies=_RSYNC, syncs=False, tool="rsync", serve=_rsyncd, command=_rsync_daemon)
BARE = Peer(who=LIMIT, verifies="nothing", syncs=True, works=True, serve=_limit, command=_receive)
OVER_SSH = Peer(who=RSYNC_SSH, verifies=f"{_RSYNC}; ssh", syncs=False, tool="rsync", serve=_sshd, command=_rsync_ssh)
EVERYBODY = (
    TLS,
    UNENCRYPTED,
    OVER_SSH,
    DAEMON,
    _rclone("http", "size"),
    _rclone("webdav", "size"),
    _rclone("sftp", "hash if the server can; ssh", "--user", "benchmark", "--pass", "benchmark"),
    BARE,
)
IN_NAMESPACES = (TLS, UNENCRYPTED, DAEMON, BARE)
TABLES = (TLS, UNENCRYPTED, OVER_SSH, DAEMON, BARE)
"""For whole folders, which all but ours are told."""


def usable(peers: tuple[Peer, ...]) -> tuple[tuple[Peer, ...], list[str]]:
    """Return those that can be here beside their own program, and a sentence for each of the others."""
    missing = [] if shutil.which("ssh") and _sshd_path() else [f"{RSYNC_SSH}: sshd is not installed"]
    here = tuple(peer for peer in peers if not (missing and peer.who == RSYNC_SSH))
    return here, [*missing, _SYNCTHING]
