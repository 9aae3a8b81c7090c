"""Configurations that parse but would mix up what belongs to whom are refused, with the place."""

import ntpath
from pathlib import Path

import pytest

from schema.errors import ConfigInvalid
from schema.settings import Settings, checks, parse

SITE = """
{head}
[[servers]]
name = "a"
[[servers.storages]]
root = "a/recordings"
layout = "frigate"
{more}
[[servers]]
name = "b"
[[servers.storages]]
root = "b/recordings"
layout = "frigate"
{most}
"""


def read(head: str = "", more: str = "", most: str = "") -> Settings:
    return parse(SITE.format(head=head, more=more, most=most).encode(), Path("/srv/site?/recorder-sync.toml"))


@pytest.mark.parametrize("folder", ["a/recordings/x", "a/recordings", "b/recordings/x", "b/recordings/.recorder-sync"])
@pytest.mark.parametrize("key", ["state", "side"])
def test_notes_and_side_stores_do_not_lie_in_a_root(key: str, folder: str) -> None:
    with pytest.raises(ConfigInvalid, match=rf"'a': storage 'main': {key} .* lie in one another"):
        read(more=f'{key} = "{folder}"')


def test_the_folder_that_recorders_ignore_may_lie_in_its_own_root() -> None:
    assert read(more='state = "a/recordings/.recorder-sync"').servers


def test_two_storages_do_not_share_their_notes() -> None:
    with pytest.raises(
        ConfigInvalid, match=r"'b': storage 'main': another storage has the state /srv/site./notes, too"
    ):
        read(more='state = "notes"', most='state = "notes"')


def test_the_ledger_does_not_lie_in_a_root() -> None:
    with pytest.raises(ConfigInvalid, match=r"ledger /srv/site./a/recordings/l.db lies in root"):
        read('ledger = "a/recordings/l.db"')


def test_the_ledger_is_the_file_that_is_named() -> None:
    assert read('ledger = "l.db"').ledger == "/srv/site?/l.db"
    assert read('ledger = "postgresql+psycopg://u@h/n"').ledger == "postgresql+psycopg://u@h/n"


def test_a_share_as_windows_names_it_is_refused_elsewhere() -> None:
    with pytest.raises(ConfigInvalid, match=r"side '\\\\\\\\nas\\\\video' is a share as Windows names it: mount it"):
        read(more="side = '\\\\nas\\video'")


def test_on_windows_folders_on_other_drives_and_shares_do_not_lie_in_one_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(checks.os, "path", ntpath)
    assert not checks._inside(r"\\nas\video\MediaDatabase", r"C:\recorder-sync")
    assert not checks._inside(r"D:\MediaDatabase", r"C:\MediaDatabase")
    assert not checks._inside(r"\\nas\other\bank", r"\\nas\video")
    assert checks._inside(r"\\nas\video\MediaDatabase\bank", r"\\nas\video\MediaDatabase")


GATEWAY = 'url = "https://ms.example"\nuser = "u"\npassword = "p"'


def alarms(kind: str, keys: str) -> str:
    return f'[[alarms]]\nname = "x"\nkind = "xprotect-{kind}"\n{keys}'


@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        ("analytics", 'server = "ms.example:9090"'),
        ("analytics", 'server = "[fd00::2]:9090"\ncameras = { front = "192.0.2.9,2" }\nevents = { test = "Test" }'),
        ("generic", 'url = "tcp://ms.example:1235"'),
        ("generic", 'url = "udp://ms.example:1234"\ndata_source = "compatible"'),
        ("alarm", f'{GATEWAY}\nsource = "0b1f3a52-6e0e-4a4c-9a8a-3c3a0c7d5e10"'),
        ("event", f'{GATEWAY}\nevents = {{ server-failed = "Degraded", test = "Trial" }}'),
    ],
)
def test_channels_to_xprotect_that_can_be_configured(kind: str, keys: str) -> None:
    assert read(most=alarms(kind, keys)).alarms[0].kind == f"xprotect-{kind}"


@pytest.mark.parametrize(
    ("kind", "keys", "said"),
    [
        ("analytics", "", r"needs server = "),
        ("analytics", 'server = "ms.example"', "no address"),
        ("analytics", 'server = "ms:9090"\nevents = { server-fail = "x" }', "no kind 'server-fail'"),
        ("analytics", 'server = "ms:9090"\nonly = ["test"]', "no kind 'test'"),
        ("analytics", 'server = "ms:9090"\nevent = " "', "called nothing"),
        ("analytics", 'server = "ms:9090"\nevents = { lost = "a\\nb" }', "line end"),
        ("generic", 'url = "https://ms.example:1235"', "needs url = .tcp:"),
        ("generic", 'url = "tcp://ms.example"', "no address"),
        ("generic", 'url = "udp://ms.example:1235"', "only data_source = .compatible"),
        ("alarm", GATEWAY, "needs camera ids"),
        ("alarm", f'{GATEWAY}\nsource = "192.0.2.1"', "'192.0.2.1' is none"),
        ("alarm", 'url = "https://ms.example"\nuser = "u"', "needs user and password"),
        ("event", GATEWAY, "needs events"),
        ("event", f'{GATEWAY}\nevents = {{ test = "Trial" }}', "needs events"),
        ("event", 'url = "https://u:p@ms.example"', "nothing secret in it"),
        ("event", 'url = "https://ms.example/?a=b"', "nothing secret in it"),
        ("event", 'url = "ms.example"', "needs url"),
    ],
)
def test_channels_to_xprotect_that_cannot_work_are_refused(kind: str, keys: str, said: str) -> None:
    with pytest.raises(ConfigInvalid, match=f"alarm channel 'x': .*{said}"):
        read(most=alarms(kind, keys))


def test_the_file_with_authorities_is_found_beside_the_configuration() -> None:
    keys = f'{GATEWAY}\nevents = {{ lost = "Lost" }}\nca = "ca.pem"'
    assert read(most=alarms("event", keys)).alarms[0].ca == "/srv/site?/ca.pem"
