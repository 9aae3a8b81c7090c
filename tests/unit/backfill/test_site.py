"""The site: every storage and side store by itself."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from backfill.layouts import build
from backfill.site import about
from schema.errors import PeerInvalid
from schema.wire import StorageAbout, read, written
from tests import make


def test_side_stores_of_names_that_run_together_are_kept_apart(
    benches: Callable[[str], AbstractContextManager[make.Bench]],
) -> None:
    config = make.config_text("a", more='fill = "side"')
    for number, (server, storage) in enumerate((("rec", "1-main"), ("rec-1", "main"))):
        config += f'[[servers]]\nname = "{server}"\n[[servers.storages]]\nname = "{storage}"\nroot = "{number}"\n'
        config += 'layout = "frigate"\n'
    with benches(config) as bench:
        stores = list(bench.site.side.values())
        assert len(stores) == 2
        assert len({one.id for one in stores}) == len({one.root for one in stores}) == 2
        assert len({one.settings.state for one in stores}) == 2


def test_what_a_storage_says_of_itself_comes_back_whole(
    benches: Callable[[str], AbstractContextManager[make.Bench]],
) -> None:
    rules = 'template = { pattern = "{camera}/%Y%m%d%H%M%S.mp4", segment = "10s", late = "2s" }'
    config = make.config_text("a", layout="template", more=f'retention = "10d"\n{rules}')
    with benches(config) as bench:
        [storage] = bench.site.storages
        told = read(StorageAbout, written(about(storage)), "b")
        assert told == about(storage)
        with bench.ledger.writing() as connection:
            bench.ledger.mirror.note_about(connection, storage.id, told)
            assert bench.ledger.mirror.about(connection, "a") == [(storage.id, told)]
            assert bench.ledger.mirror.about(connection, "nobody") == []
        assert build(told.settings(), "a").traits == storage.layout.traits


def test_a_length_of_time_that_cannot_be_is_refused() -> None:
    about_ = '{"name":"x","layout":"template","zone":"UTC","template":{"pattern":"{camera}/%s.mp4","segment":-1}}'
    with pytest.raises(PeerInvalid, match="no Duration"):
        read(StorageAbout, about_.encode(), "b")
