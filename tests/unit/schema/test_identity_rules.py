"""The table [identity]: what contradicts itself, or could be read nowhere, is refused with its key."""

from pathlib import Path

import pytest

from schema.errors import ConfigInvalid
from schema.identity import SERVICE
from schema.settings import Settings, parse
from schema.spans import MINUTE, SECOND

SITE = """
[[servers]]
name = "b"
[[servers.storages]]
root = "b/recordings"
layout = "frigate"
[[peers]]
name = "a"
address = "a.example:7443"
[identity]
"""


def read(*lines: str) -> Settings:
    return parse((SITE + "\n".join(lines)).encode(), Path("/srv/site/recorder-sync.toml"))


def test_without_a_word_nothing_is_told_and_nobody_is_cloned() -> None:
    rules = read().identity
    assert (rules.config, rules.primary, rules.silence, rules.service) == (None, None, "alive", SERVICE)
    assert (rules.probe, rules.wait, rules.refresh) == (2 * SECOND, 2 * MINUTE, MINUTE)
    assert rules.folder == "/srv/site/identity"


def test_paths_are_relative_to_the_file() -> None:
    rules = read('config = "x/RecorderConfig.xml"', 'primary = "a"', 'primary_config = "/net/a.xml"').identity
    assert (rules.config, rules.primary_config) == ("/srv/site/x/RecorderConfig.xml", "/net/a.xml")


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (['confg = "x"'], "unknown key 'confg'; did you mean 'config'"),
        (['silence = "dead"'], "'dead' is none of 'alive', 'down'"),
        (['manager = "runit"'], "'runit' is none of"),
        (["wait = 5"], "expected .* got|needs quotes and a unit"),
        (['service = " "'], "identity.service must not be empty"),
        (['manager = "supervisord"'], "go together"),
        (['supervisor = "unix:/s"'], "go together"),
        (['manager = "command"'], "go together"),
        (['manager = "command"', 'commands = { state = ["x"], stop = ["x"] }'], "state, stop and start"),
        (['manager = "command"', 'commands = { state = ["x"], stop = ["x"], start = [] }'], "state, stop and start"),
        (['server = "nvr-z"'], "none of the servers here"),
        (['manager = "supervisord"', 'supervisor = "/s"'], "is no address such as"),
        (['probe = "10ms"'], "identity.probe must be at least 100ms"),
        (['wait = "10ms"'], "identity.wait must be at least 1s"),
        (['refresh = "10ms"'], "identity.refresh must be at least 1s"),
        (['primary = "a"', 'ports = ["a"]'], "'a' is no address"),
        (['primary = "a"', 'witness = "a:0"'], "'a:0' is no address"),
        (['primary = "a"', 'silence = "down"'], "needs identity.witness"),
        (['primary = "../a"', 'primary_config = "/x"'], "is not plain letters"),
        (['primary = "b"', 'primary_config = "/x"'], "is this server itself"),
        (['primary = "c"'], "is no peer, and identity.primary_config is not set"),
        (['ports = ["a:1"]'], "identity.ports is of no use without identity.primary"),
        (['primary_config = "/x"'], "identity.primary_config is of no use"),
        (['primary = "a"', 'config = "/x"', 'primary_config = "/y/../x"'], "are one file"),
        (['config = ""'], "identity.config '' is no path"),
    ],
)
def test_what_makes_no_sense_is_refused(lines: list[str], why: str) -> None:
    with pytest.raises(ConfigInvalid, match=why):
        read(*lines)
