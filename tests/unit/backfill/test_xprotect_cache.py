"""What a bank's cache says, and what is refused of it before it is believed.

The first document is copied from the measured shape letter by letter; the hostile ones must cost nothing and reach
nothing, whoever wrote them.
"""

from pathlib import Path

import pytest

from backfill.layouts.xprotect import cache
from backfill.layouts.xprotect.cache import CacheBad, Column, document, tables

MEASURED = """<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<bank version="1.2">
  <table>
    <name>e227d322-9fba-426a-92bc-7e05290eda00</name>
    <size>39105060</size><description>Shoe Store</description>
    <encryption><algorithm>AES</algorithm><size_to_encrypt>0</size_to_encrypt><password_selection>2</password_selection></encryption>
    <meta_data><entry key="device_type">Camera</entry></meta_data>
    <signing_algorithm>SHA2</signing_algorithm>
    <column><name>7ea9b53b-749e-420b-891b-43b238f6144e</name><begin_time>1740692276638</begin_time><end_time>1740692337538</end_time>
      <meta_data_first_record>0</meta_data_first_record><meta_data_last_record>0</meta_data_last_record>
      <begin_time_last_record>0</begin_time_last_record><end_time_first_record>0</end_time_first_record><size>39104392</size></column>
    <column><name>908d3e34-3510-4372-9e3f-20c53b92490a</name><size>24</size></column>
  </table>
</bank>
"""
NAME = "e227d322-9fba-426a-92bc-7e05290eda00"


def test_the_measured_shape_is_read() -> None:
    [table] = tables(MEASURED.encode()).values()
    assert (table.name, table.size, table.description) == (NAME, 39105060, "Shoe Store")
    assert (table.device_type, table.encrypted, table.problem) == ("Camera", True, "")
    assert table.columns == (
        Column("7ea9b53b-749e-420b-891b-43b238f6144e", 1740692276638, 1740692337538, 39104392),
        Column("908d3e34-3510-4372-9e3f-20c53b92490a", None, None, 24),
    )
    assert table.media == table.columns[0]


@pytest.mark.parametrize(
    "text",
    [
        MEASURED.replace("<bank version", "<!-- a note --><bank version"),
        MEASURED.replace("<table>", "<!-- <table><name>x</name></table> --><table>"),
        MEASURED.replace("Shoe Store", "<![CDATA[Shoe Store]]>"),
        MEASURED.replace("<table>", "<?note?><table>"),
        MEASURED.replace("\n", "\r\n"),
        MEASURED.replace("<bank ", "\ufeff<bank ", 0).replace("<?xml", "\ufeff<?xml"),
        MEASURED.partition("?>")[2],
        MEASURED.replace("<size>24", "<type>x</type><description/><size>24"),
        MEASURED.replace("<meta_data>", "<archive_source>x</archive_source><buffered/><meta_data>"),
    ],
    ids=["comment", "table in a comment", "cdata", "instruction", "crlf", "bom", "bare", "column", "archives"],
)  # fmt: skip
def test_what_says_the_same_is_read_the_same(text: str) -> None:
    assert tables(text.encode()) == tables(MEASURED.encode())


def test_only_what_is_asked_for_is_returned() -> None:
    two = MEASURED.replace("</bank>", MEASURED[MEASURED.index("<table>") :].replace(NAME, "other"))
    assert set(tables(two.encode())) == {NAME, "other"}
    assert set(tables(two.encode(), {"other", "third"})) == {"other"}
    assert tables(two.encode(), ()) == {}


def test_an_empty_bank_is_whole() -> None:
    assert tables(b'<?xml version="1.0"?><bank version="1.2"/>') == {}
    assert tables(b'<bank version="1.2">\n</bank>\n') == {}


def test_every_part_of_a_cache_is_half_a_cache() -> None:
    content = MEASURED.encode().rstrip()
    for length in range(len(content)):
        with pytest.raises(CacheBad):
            tables(content[:length])


LAUGHS = MEASURED.replace(
    "<bank", '<!DOCTYPE bank [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]><bank', 1
).replace("Shoe Store", "&b;")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (LAUGHS.encode(), "document type"),
        (MEASURED.replace("<bank", '<!DOCTYPE bank SYSTEM "http://192.0.2.1/x"><bank', 1).encode(), "document type"),
        (MEASURED.encode("utf-16"), "not in UTF-8"),
        (MEASURED.replace("UTF-8", "UTF-16").encode("utf-16-le"), "not in UTF-8"),
        (MEASURED.replace("UTF-8", "windows-1252").encode(), "it is in windows-1252"),
        (MEASURED.replace("Shoe Store", "&undefined;").encode(), "broken"),
        (MEASURED.replace("Shoe Store", "<a>" * 40 + "</a>" * 40).encode(), "too deep"),
        (MEASURED.replace("Shoe Store", "<!---->" + "<a>" * 40 + "</a>" * 40).encode(), "too deep"),
        (MEASURED.replace("Shoe Store", "<a>" * 5000 + "</a>" * 5000).encode(), "broken|too deep"),
        (MEASURED.replace("Shoe Store", "x" * 300_000).encode(), "does not end"),
        (MEASURED.replace("Shoe Store", "Shoe \xff Store").encode("latin-1"), "broken"),
        (MEASURED.replace("<bank", "<banks").replace("</bank", "</banks").encode(), "does not end where"),
        (MEASURED.replace("<bank", "<!----><banks").replace("</bank", "</banks").encode(), "no bank's index"),
        (b"", "does not end where"),
        (bytes(1000), "not in UTF-8"),
    ],
)  # fmt: skip
def test_what_no_recorder_writes_is_refused_whole(content: bytes, why: str) -> None:
    with pytest.raises(CacheBad, match=why):
        tables(content)


def test_a_file_outside_is_never_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("the secret")
    text = MEASURED.replace("<bank", f'<!DOCTYPE bank [<!ENTITY s SYSTEM "file://{secret}">]><bank', 1)
    for content in (
        text.replace("Shoe Store", "&s;"),
        f'<!DOCTYPE b [<!ENTITY s SYSTEM "file://{secret}">]><b>&s;</b>',
    ):
        for parse in (tables, document):
            with pytest.raises(CacheBad):
                parse(content.encode())


def test_a_cache_larger_than_any_is_refused_before_it_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "MOST_BYTES", 100)
    with pytest.raises(CacheBad, match="more than"):
        tables(MEASURED.encode())


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("<begin_time>1740692276638</begin_time>", ""),
        ("1740692276638", "-1"),
        ("1740692276638", "1e12"),
        ("1740692276638", "99999999999999"),
        ("1740692276638", "1740692337539"),
        ("<size>24</size>", ""),
        ("<size>24</size>", "<size>24 bytes</size>"),
        ("<size>24</size>", f"<size>{10**17}</size>"),
        ("<size>24</size>", "<size>\u0662\u0664</size>"),
        ("908d3e34-3510-4372-9e3f-20c53b92490a", "7EA9B53B-749e-420b-891b-43b238f6144e"),
    ],
)
def test_a_table_that_makes_no_sense_is_its_own_problem(good: str, bad: str) -> None:
    two = MEASURED.replace("</bank>", MEASURED[MEASURED.index("<table>") :].replace(NAME, "other"))
    found = tables(two.replace(good, bad, 1).encode())
    assert found[NAME].problem.startswith("the recorder's index makes no sense of it") and not found["other"].problem


def test_control_characters_do_not_reach_anybody() -> None:
    [table] = tables(MEASURED.replace("Shoe Store", "Shoe&#x9b;31m Store&#x202e;" + "x" * 5000).encode()).values()
    assert table.description.isprintable() and len(table.description) <= 512
