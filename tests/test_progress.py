from __future__ import annotations

import io
import re
import sys
import time

import pytest

from convbench.progress import progress_bar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(monkeypatch: pytest.MonkeyPatch, steps: list[tuple[int, ...]]) -> str:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress_bar("encode", 100, done=20, unit="passage") as advance:
        for step in steps:
            time.sleep(0.11)  # tqdm draws ten times a second
            advance(*step)
    return terminal.getvalue()


def test_tokens_per_second_and_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    output = shown(monkeypatch, [(10, 5000), (10, 5000)])
    assert "40/100" in output
    rate = re.findall(r"([\d,]+) tokens/s", output)[-1]
    assert 10_000 < int(rate.replace(",", "")) < 10_000 / 0.22 + 1
    assert re.search(r"<\d\d:\d\d", output)


def test_no_tokens_no_rate_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    output = shown(monkeypatch, [(10,), (70,)])
    assert "100/100" in output
    assert "tokens/s" not in output


def test_silent_where_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("encode", 100) as advance:
        advance(100, 5)
    assert capsys.readouterr() == ("", "")
