"""Documentation is true: what it says of keys, codes, commands and JSON is held against the code, and its commands run.

The README's demo and test commands are run by tests/system/test_demo.py and .ci/run.
"""

import json
import re
import runpy
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.main import get_command

from backfill.layouts import available
from backfill.layouts.registry import layout_class
from recorder_sync.cli.main import app
from schema.documents import AlarmDocument, GapDocument, SpanDocument
from schema.settings import StorageSettings, TemplateRules, parse
from tests import make

REPOSITORY = Path(__file__).parent.parent.parent
PAGES = sorted([REPOSITORY / "README.md", *(REPOSITORY / "docs").rglob("*.md")])
PAGES_IDS = [str(page.relative_to(REPOSITORY)) for page in PAGES]

Cli = Callable[..., subprocess.CompletedProcess[str]]


def blocks(page: Path, language: str) -> list[str]:
    """Return the fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.M | re.S)


def commands() -> dict[str, Any]:
    """Return every command by its words: `service install` is one."""
    found: dict[str, Any] = {}

    def collect(group: Any, before: str) -> None:
        for name, command in group.commands.items():
            found[before + name] = command
            if hasattr(command, "commands"):
                collect(command, f"{before}{name} ")

    collect(get_command(app), "")
    return found


def generated() -> dict[str, str]:
    pages: dict[str, str] = runpy.run_path(str(REPOSITORY / "docs" / "generate.py"))["pages"]()
    return pages


@pytest.mark.parametrize("name", [name for name in generated() if name != "commands.md"])
def test_generated_pages_are_up_to_date(name: str) -> None:
    written = (REPOSITORY / "docs" / "reference" / name).read_text(encoding="utf-8")
    assert written == generated()[name], "run: python docs/generate.py"


def test_the_command_reference_has_every_option_and_what_it_does() -> None:
    # Not compared to the letter: how help is laid out belongs to the library and changes with its version.
    written = " ".join((REPOSITORY / "docs" / "reference" / "commands.md").read_text(encoding="utf-8").split())
    for name, command in commands().items():
        assert f"## recorder-sync {name} " in written
        for option in command.params:
            assert all(flag in written for flag in option.opts), (name, option.opts)
            help_text = " ".join((getattr(option, "help", None) or "").split())
            assert help_text in written, (name, option.name, "run: python docs/generate.py")


def test_every_key_of_the_configuration_says_what_it_means() -> None:
    page = (REPOSITORY / "docs" / "reference" / "configuration.md").read_text(encoding="utf-8")
    silent = [line for line in page.splitlines() if line.startswith("| `") and line.endswith("|  |")]
    assert silent == []


@pytest.mark.parametrize("page", PAGES, ids=PAGES_IDS)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", linked.read_text(encoding="utf-8"), re.M)
            assert anchor in [re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings], target


@pytest.mark.parametrize("page", PAGES, ids=PAGES_IDS)
def test_named_files_of_this_repository_exist(page: Path) -> None:
    for name in re.findall(
        r"`((?:tests|docs|benchmarks|backfill|schema|recorder_sync|\.ci)/[\w./-]+)`", page.read_text("utf-8")
    ):
        assert (REPOSITORY / name).exists(), name


@pytest.mark.parametrize("page", PAGES, ids=PAGES_IDS)
def test_commands_in_documents_exist_with_their_options(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    known = commands()
    used = re.findall(
        r"recorder-sync ([a-z][a-z-]*)((?: +[^`\n|#;]*)?)",
        "\n".join(re.findall(r"`([^`\n]+)`", text) + blocks(page, "sh")),
    )
    for word, rest in used:
        second = f"{word} {rest.split()[0]}" if rest.split() else ""
        name = second if second in known else word
        assert name in known or name in ("toml", "db"), name
        options = {flag for option in known[name].params for flag in option.opts} if name in known else set()
        for flag in re.findall(r"(?<!\S)(--[a-z-]+)", rest):
            assert flag in options or flag == "--help", (name, flag)


@pytest.mark.parametrize("page", PAGES, ids=PAGES_IDS)
def test_configuration_examples_are_valid(page: Path, tmp_path: Path) -> None:
    for block in blocks(page, "toml"):
        if "[project" in block:
            continue
        text = re.sub(r"^\[servers\.", "[servers.", block, flags=re.M)
        if "[[servers]]" not in text:
            own = re.search(r'^\[identity\]\nserver = "(.*)"$', text, re.M)
            text = f'[[servers]]\nname = "{own[1] if own else "a"}"\n\n{text}'
        if "[[servers.storages]]" not in text:
            text = text.replace(
                "[servers.storages.", '[[servers.storages]]\nroot = "x"\nlayout = "frigate"\n\n[servers.storages.', 1
            )
        if "[[servers.storages]]" not in text:
            text += '\n[[servers.storages]]\nroot = "x"\nlayout = "frigate"\n'
        parse(text.encode(), tmp_path / "recorder-sync.toml")


def test_json_examples_have_the_documented_shape() -> None:
    gap, span, alarm = blocks(REPOSITORY / "docs" / "reference" / "json.md", "json")
    for text, shape in ((gap, GapDocument), (span, SpanDocument), (alarm, AlarmDocument)):
        document = msgspec.json.decode(text, type=shape)
        assert json.loads(msgspec.json.encode(document)) == json.loads(text)


def test_every_layout_is_described_with_its_options() -> None:
    page = (REPOSITORY / "docs" / "reference" / "layouts.md").read_text(encoding="utf-8")
    for name in available():
        row = next(line for line in page.splitlines() if line.startswith(f"| `{name}` |"))
        rules = TemplateRules(pattern="{camera}/%s.mp4") if name == "template" else None
        settings = StorageSettings(root="/", layout=name, template=rules, options={"nothing": ""})
        with pytest.raises(ValueError, match="it has") as refused:
            layout_class(name).from_settings(settings)
        for option in re.findall(r"it has: (.*)$", str(refused.value))[0].split(", "):
            assert option == "none" or f"`{option}`" in row.rsplit("|", 2)[1], (name, option)


def test_the_readmes_sixty_seconds_work(cli: Cli, tmp_path: Path) -> None:
    make.unpack("frigate_two_nvrs", tmp_path)
    readme = next(block for block in blocks(REPOSITORY / "README.md", "sh") if "recorder-sync init" in block)
    commands = [line.partition("#")[0].split() for line in readme.splitlines()]
    codes = []
    for command in commands:
        assert command[0] == "recorder-sync"
        arguments = [word.replace("/srv", "frigate_two_nvrs") for word in command[1:]]
        codes.append(cli(*arguments).returncode)
    assert codes == [0, 1, 0, 0]  # written; gaps found; what would be done; done
    assert cli("gaps", "--until", "2026-11-22T11:19:00Z").returncode == 0
    assert "nvr-a records nothing any more" in cli("gaps").stdout  # of a sample, with reason
