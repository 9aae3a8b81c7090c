"""Writes the parts of the reference that are made from the code: exit codes, commands, JSON schemas.

Run `python docs/generate.py` after changing them; a test fails while they differ.
"""

import ast
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from schema.documents import DOCUMENTS, json_schema
from schema.errors import catalogue

REFERENCE = Path(__file__).parent / "reference"


def exit_codes() -> str:
    """Return docs/reference/exit-codes.md."""
    lines = [
        "# Exit codes",
        "",
        "Made from the error catalogue by `python docs/generate.py`. `{0}` and the like stand for details of the case.",
        "",
        "| code | error | what it says | what to do | trying again may help |",
        "|---|---|---|---|---|",
        "| 0 | | everything asked for was done | | |",
        "| 1 | | gaps or damage were found | look at the report; for scripts and monitoring | |",
    ]
    for kind in catalogue():
        sentence = " ".join((kind.__doc__ or "").split())
        again = "yes" if kind.transient else "no"
        lines.append(f"| {kind.exit_code} | `{kind.__name__}` | {sentence} | {kind.hint} | {again} |")
    return "\n".join(lines) + "\n"


def command_words(group: Any) -> Iterator[list[str]]:
    """Yield the words of every command below a group of commands, in the order of its help."""
    for name, command in group.commands.items():
        yield [name]
        if hasattr(command, "commands"):
            yield from ([name, *more] for more in command_words(command))


def commands() -> str:
    """Return docs/reference/commands.md: every command's help as it is printed at 80 columns."""
    from typer.main import get_command
    from typer.testing import CliRunner

    from recorder_sync.cli.main import app

    runner = CliRunner(env={"COLUMNS": "80", "NO_COLOR": "1", "TERM": "dumb"})
    parts = ["# Commands", "", "Made from the command line itself by `python docs/generate.py`.", ""]
    for words in ([], *command_words(get_command(app))):
        title = " ".join(["recorder-sync", *words])
        printed = runner.invoke(app, [*words, "--help"], prog_name="recorder-sync").output
        text = "\n".join(line.rstrip() for line in printed.strip().splitlines())
        parts += [f"## {title}", "", "```", text, "```", ""]
    return "\n".join(parts)


_CONFIGURATION = """# Configuration

One TOML file, `recorder-sync.toml` in the current folder unless `--config` or `RECORDER_SYNC_CONFIG` names another.
`recorder-sync init` writes one that works. A misspelt key is an error that names the nearest right one. Relative paths
are relative to the file's folder. The tables below are made from the code by `python docs/generate.py`.

```toml
ledger = "recorder-sync.db"

[gaps]
policy = "always"
threshold = "2s"

[fill]
bandwidth = "200 Mbit/s"
reserve = "20 GB"

[[servers]]
name = "nvr-a"

[[servers.storages]]
root = "/srv/nvr-a/frigate/recordings"
layout = "frigate"
retention = "10d"

[servers.storages.frigate]
database = "/srv/nvr-a/frigate/frigate.db"
rows = "dry-run"

[[servers]]
name = "nvr-b"

[servers.cameras]
porch = "front"

[[servers.storages]]
root = "/srv/nvr-b/mediamtx"
layout = "mediamtx"
zone = "Europe/Berlin"
options = { recordPath = "%path/%Y-%m-%d_%H-%M-%S-%f" }
```

Units: durations `90s`, `15min`, `2h`, `10d`, `1w`; sizes `500 MB`, `5 GB`, `4 MiB`; rates `50 MB/s`, `200 Mbit/s`.
"""

_TABLES = {
    "Settings": "Top level",
    "Gaps": "`[gaps]`",
    "Fill": "`[fill]`",
    "Scan": "`[scan]`",
    "PeerSettings": "`[[peers]]`",
    "Link": "`[link]`",
    "Service": "`[service]`",
    "AlarmChannel": "`[[alarms]]`",
    "IdentityRules": "`[identity]`",
    "ServerSettings": "`[[servers]]`",
    "StorageSettings": "`[[servers.storages]]`",
    "TemplateRules": "`[servers.storages.template]`",
    "FrigateRules": "`[servers.storages.frigate]`",
}


def configuration() -> str:
    """Return docs/reference/configuration.md: every key with type, default and the sentence beside it in the code."""
    schema = Path(__file__).parent.parent / "schema"
    bodies = [
        ast.parse((schema / name).read_text(encoding="utf-8")).body
        for name in ("settings/keys.py", "service.py", "identity.py")
    ]
    classes = {node.name: node for body in bodies for node in body if isinstance(node, ast.ClassDef)}
    parts = [_CONFIGURATION]
    for name, title in _TABLES.items():
        node = classes[name]
        parts += [
            f"## {title}",
            "",
            ast.get_docstring(node) or "",
            "",
            "| key | value | default | meaning |",
            "|---|---|---|---|",
        ]
        for at, statement in enumerate(node.body):
            if not isinstance(statement, ast.AnnAssign):
                continue
            following = node.body[at + 1] if at + 1 < len(node.body) else None
            said = ""
            if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
                said = " ".join(str(following.value.value).split())
            default = "required" if statement.value is None else f"`{_default(statement.value)}`"
            kind = _kind(ast.unparse(statement.annotation))
            parts.append(f"| `{ast.unparse(statement.target)}` | {kind} | {default} | {said} |")
        parts.append("")
    return "\n".join(parts).rstrip() + "\n"


_DEFAULTS = {"Duration(0)": "0s", "Duration(2 * SECOND)": "2s", "Duration(1 * SECOND)": "1s", "None": "none"}
_DEFAULTS |= {"Duration(300 * SECOND)": "5min", "Size(2 * 10 ** 9)": "2 GB", "Size(4 * 2 ** 20)": "4 MiB"}
_DEFAULTS |= {"Rate(100 * 10 ** 6)": "100 MB/s", "Gaps()": "as below", "Fill()": "as below", "Scan()": "as below"}
_DEFAULTS |= {"False": "false", "{}": "none"}


def _default(value: ast.expr) -> str:
    text = ast.unparse(value)
    return _DEFAULTS.get(text, text.replace("'", '"'))


def _kind(annotation: str) -> str:
    """Return a type as operators know it."""
    if annotation.startswith("Literal["):
        return " or ".join(f"`{word.strip()}`" for word in annotation[8:-1].replace("'", '"').split(","))
    words = {
        "str": "text",
        "bool": "true or false",
        "int": "number",
        "dict[str, str]": "table",
        "list[str]": "list of texts",
    }
    plain = annotation.replace(" | None", "")
    return words.get(plain, plain.lower() if plain in ("Duration", "Size", "Rate") else "table")


def schemas() -> dict[str, str]:
    """Return the JSON schemas by file name."""
    return {
        f"json/{name}.schema.json": json.dumps(json_schema(name), indent=1, ensure_ascii=False) + "\n"
        for name in DOCUMENTS
    }


def pages() -> dict[str, str]:
    """Return every generated page by its path below docs/reference."""
    return {
        "configuration.md": configuration(),
        "exit-codes.md": exit_codes(),
        "commands.md": commands(),
        **schemas(),
    }


def main() -> int:
    """Write what changed; returns the exit code."""
    for name, text in pages().items():
        path = REFERENCE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            sys.stdout.write(f"wrote {path.relative_to(REFERENCE.parent)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
