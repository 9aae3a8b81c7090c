"""`recorder-sync init --address`, `invite` and `join`: two hosts become a pair, with one line carried across.

Rule: nothing is copied by hand, and what is typed opens nothing afterwards. The configuration is only ever added to.
"""

import asyncio
import ipaddress
import time
from pathlib import Path

from backfill.link.pairing import GOOD_FOR, Inviting, Paired, accept, invitation, read_invitation
from backfill.link.trust import Trust
from recorder_sync.cli import init
from recorder_sync.cli.output import complaints, results
from schema.errors import ConfigInvalid, OutputFailed, UsageInvalid
from schema.service import split_address
from schema.settings import Settings, load, parse

PORT = 7443


def listening(address: str | None) -> tuple[str, int]:
    """Return host and port of what was typed, the usual port if it names none. Raises UsageInvalid."""
    if address is None:
        return "*", PORT
    try:
        return split_address(address if _has_port(address) else f"{address}:{PORT}")
    except ValueError as error:
        raise UsageInvalid("--address", error) from None


def _has_port(address: str) -> bool:
    return address.rpartition(":")[2].isdigit() and (address.count(":") == 1 or "]:" in address)


def link_table(address: str | None) -> str:
    """Return the `[link]` table for a host that is reached at `address`."""
    host, port = listening(address)
    try:
        bound = f"[{host}]" if ipaddress.ip_address(host).version == 6 else host
    except ValueError:
        bound = "0.0.0.0"  # noqa: S104  a name may lead to any address here; who asks must hold a paired key
    return f'\n[link]\nlisten = "{bound}:{port}"\n'


def begin(
    folders: list[Path], config: Path, *, name: str | None, address: str, force: bool, zone: str | None = None
) -> int:
    """Write a configuration for one folder and invite another host; returns the exit code."""
    if len(folders) != 1:
        raise UsageInvalid("--address", "a host that is paired records as one server; name one folder")
    documents = init.write(
        config, folders, names=None if name is None else [name], more=link_table(address), force=force, zone=zone
    )
    init.show(config, documents, pairing=True)
    return invite(config, address)


def invite(config: Path, address: str | None) -> int:
    """Print the command for the other host and wait until it was run there; returns the exit code."""
    settings = load(config)
    own = _own(settings)
    host, port = listening(address)
    if host == "*":
        raise UsageInvalid("--address", "say at which address the other host reaches this one")
    bound, listen_port = split_address(settings.link.listen)
    if address is not None and _has_port(address) and port != listen_port:
        raise UsageInvalid("--address", f"link.listen says port {listen_port}")
    trust = Trust(settings.link.folder, own)
    invited = invitation(own, host, listen_port, trust.prepare())
    console = results()
    console.print(
        f"On the other host, in the folder where its configuration shall be, run within {GOOD_FOR // 60} minutes:\n"
    )
    console.print(f"  recorder-sync join {invited.text} FOLDER\n", soft_wrap=True)
    console.print("FOLDER is where its recorder writes. Waiting; Ctrl-C ends it.")
    began = time.monotonic()

    async def wait() -> Paired:
        inviting = Inviting(
            trust,
            invited,
            encrypted=settings.link.encryption == "tls",
            check=lambda paired: check_peer(config, paired),
        )
        return await inviting.wait(bound, listen_port)

    paired = asyncio.run(wait())
    add_peer(config, paired)
    console.print(
        f"Paired with {paired.server} at {paired.address} after {time.monotonic() - began:.0f} s. Now, on both hosts:"
        " recorder-sync run, or recorder-sync service install"
    )
    return 0


def join(text: str, folder: Path | None, config: Path, *, name: str | None, address: str | None) -> int:
    """Accept an invitation, with a configuration for `folder` if there is none yet; returns the exit code."""
    invited = read_invitation(text)
    if folder is not None:
        init.write(config, [folder], names=None if name is None else [name], more=link_table(address))
    settings = load(config)
    own = _own(settings)
    host, _ = listening(address)
    port = split_address(settings.link.listen)[1]
    paired = accept(
        invited, Trust(settings.link.folder, own), own, f"{host}:{port}", lambda paired: check_peer(config, paired)
    )
    add_peer(config, paired)
    results().print(
        f"Paired with {paired.server} at {paired.address}. Now, on both hosts: recorder-sync run, or"
        " recorder-sync service install"
    )
    return 0


def check_peer(config: Path, paired: Paired) -> None:
    """Raise ConfigInvalid unless the configuration is right with this peer in it."""
    _with_peer(config, paired)


def _with_peer(config: Path, paired: Paired) -> str:
    """Return the configuration with a peer added. Raises ConfigInvalid."""
    known, text = load(config), config.read_text(encoding="utf-8")
    if any(one.name == paired.server for one in known.peers):
        return text
    added = f"\n[[peers]]\nname = {init.quoted(paired.server)}\naddress = {init.quoted(paired.address)}\n"
    whole = text.rstrip("\n") + "\n" + added
    told = parse(whole.encode(), config).peers[len(known.peers) :]
    if [(one.name, one.address) for one in told] != [(paired.server, paired.address)]:
        raise ConfigInvalid(config, f"peer {paired.server!r} cannot be added to it")
    return whole


def add_peer(config: Path, paired: Paired) -> None:
    """Add a peer to the configuration, unless it is in there. Raises ConfigInvalid, OutputFailed."""
    known = load(config)
    whole = _with_peer(config, paired)
    peer = next((one for one in known.peers if one.name == paired.server), None)
    if peer is not None:
        if peer.address != paired.address:
            complaints().print(
                f"note: {config} has {peer.address} for {peer.name}, which answers from {paired.address}"
            )
        return
    if not paired.encrypted and known.link.encryption != "none":
        complaints().print('note: the other host has link.encryption = "none"; both must say the same')
    try:
        config.write_text(whole, encoding="utf-8")
    except OSError as error:
        raise OutputFailed(config, error.strerror) from None


def _own(settings: Settings) -> str:
    """Return the one server of this host. Raises UsageInvalid if there are several."""
    if len(settings.servers) != 1:
        raise UsageInvalid("[[servers]]", "a host that is paired records as one server; name one folder")
    return settings.servers[0].name
