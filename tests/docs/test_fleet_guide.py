"""The example of three pairs on one database, as the guide shows it: every configuration is valid, and they fit."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from backfill.site import build_site
from recorder_sync.cli.fleet import fleet_document
from recorder_sync.service.run import Service
from schema.ledger import Ledger
from schema.settings import Settings, parse

PAGE = Path(__file__).parents[2] / "docs/guide/fleet.md"


def examples(ledger: str, folder: Path) -> Iterator[tuple[str, Settings]]:
    """Yield pair and settings of every example, on another ledger and below another folder."""
    text = PAGE.read_text(encoding="utf-8")
    for pair, host, block in re.findall(r"<!-- (\w+)/([\w-]+) -->\n```toml\n(.*?)```", text, re.S):
        block = re.sub(r'^ledger = ".*"$', f'ledger = "{ledger}"', block, flags=re.M)
        block = block.replace('"/srv/', f'"{folder}/{host}/')
        (folder / host).mkdir(parents=True)
        settings = parse(block.encode(), folder / host / "recorder-sync.toml")
        Path(settings.servers[0].storages[0].root).mkdir(parents=True)
        assert settings.servers[0].name == host
        yield pair, settings


def test_the_six_hosts_name_each_other_and_share_a_ledger(tmp_path: Path) -> None:
    found = list(examples("fleet.db", tmp_path))
    assert [pair for pair, _ in found] == ["north", "north", "south", "south", "west", "west"]
    own = {settings.servers[0].name: settings for _, settings in found}
    assert len(own) == 6
    for pair, settings in found:
        [peer] = settings.peers
        back = own[peer.name]
        assert back.peers[0].name == settings.servers[0].name
        assert settings.pair_name == back.pair_name == pair
        assert (
            settings.gaps == back.gaps and settings.servers[0].storages[0].layout == back.servers[0].storages[0].layout
        )


def test_what_their_services_write_down_is_enough_for_the_report(tmp_path: Path, ledger_url: str) -> None:
    with Ledger.open(ledger_url) as ledger:
        for _, settings in examples(ledger_url, tmp_path):
            Service(settings, ledger).introduce()
        report = fleet_document(ledger)
        assert [(pair.pair, [one.server for one in pair.servers], pair.notes) for pair in report.pairs] == [
            ("north", ["n-a", "n-b"], []),
            ("south", ["s-a", "s-b"], []),
            ("west", ["w-a", "w-b"], []),
        ]
        # A host of a pair knows its peer's storage from the ledger alone.
        _, first = next(examples(ledger_url, tmp_path / "again"))
        assert [storage.title for storage in build_site(first, ledger).remote] == ["n-b/main"]


@pytest.mark.parametrize("word", ["up", "standby", "away", "refused", "stopped", "unknown"])
def test_every_state_is_explained(word: str) -> None:
    table = PAGE.read_text(encoding="utf-8").partition("| state | it means |")[2]
    assert f"`{word}`" in table
