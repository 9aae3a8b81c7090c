"""The site: every storage and side store by itself."""

from collections.abc import Callable
from contextlib import AbstractContextManager

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
