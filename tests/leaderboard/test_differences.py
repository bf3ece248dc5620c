from __future__ import annotations

import pytest
from boards import write_root

from convbench.leaderboard.build import build
from convbench.leaderboard.differences import differences


@pytest.fixture
def built(tmp_path):
    root = write_root(tmp_path / "boards")
    assert "README.md: missing" in differences(root)
    assert not (root / "README.md").exists()
    build(root)
    assert differences(root) == []
    return root


def test_a_file_that_was_edited_is_named(built):
    (built / "harbour-sample" / "standings.csv").write_bytes(b"id,system\n")
    page = built / "site" / "index.html"
    page.write_text(page.read_text(encoding="utf-8").replace("Anchor 7B", "Anchor 8B"), encoding="utf-8")
    assert differences(built) == ["harbour-sample/standings.csv: differs", "site/index.html: differs"]


def test_what_is_missing_left_over_or_a_link_is_named(built):
    (built / "site" / "\x1b[2Jold.html").write_text("old", encoding="utf-8")
    (built / "site" / "away").symlink_to(built.parent)
    (built / "index.json").unlink()
    readme = built / "README.md"
    readme.rename(built.parent / "README.md")
    readme.symlink_to(built.parent / "README.md")
    assert sorted(differences(built)) == [
        "README.md: is a link, expected a file",
        "index.json: missing",
        "site/\\x1b[2Jold.html: nothing is built there",
        "site/away: nothing is built there",
    ]


def test_a_score_that_changed_changes_the_standings(built):
    verified = built / "harbour-sample" / "submissions" / "anchor" / "verified.json"
    verified.write_text(verified.read_text(encoding="utf-8").replace("0.412", "0.413", 1), encoding="utf-8")
    assert "harbour-sample/standings.csv: differs" in differences(built)
