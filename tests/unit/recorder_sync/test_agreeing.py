"""Asking before anything is changed: what the default is can be seen, and anything but a yes changes nothing."""

import io
import sys

import pytest
from rich.console import Console

from recorder_sync.cli import agreeing


@pytest.mark.parametrize(("answer", "agreed"), [("y", True), (" Y ", True), ("n", False), ("", False), (None, False)])
def test_only_a_yes_is_one(answer: str | None, agreed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, color_system=None, width=80)

    def typed() -> str:
        if answer is None:
            raise EOFError
        return answer

    monkeypatch.setattr(agreeing, "complaints", lambda: console)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", typed)
    assert agreeing.agreed(["stop the service"], "import", yes=False) is agreed
    shown = console.file.getvalue()  # type: ignore[attr-defined]  # the StringIO from above
    assert "stop the service" in shown and "Do this? [y/N] " in shown, "which answer is the default"
    assert ("nothing was changed" in shown) is not agreed
