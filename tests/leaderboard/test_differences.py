from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from boards import write_root

from convbench.errors import DataError
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


def git(folder: Path, *words: str) -> None:
    known = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", *known, "-C", str(folder), *words], check=True, capture_output=True)


def test_what_is_committed_after_building_is_all_that_a_check_of_a_clone_needs(tmp_path):
    checkout, clone = tmp_path / "checkout", tmp_path / "clone"
    root = write_root(checkout / "leaderboards")
    shutil.copy(Path(__file__).parents[2] / ".gitignore", checkout)
    build(root)
    git(checkout, "init")
    git(checkout, "add", ".")
    git(checkout, "commit", "-m", "Standings")
    git(tmp_path, "clone", str(checkout), str(clone))
    assert not [path for path in clone.rglob("*") if path.name in ("site", ".build.lock")]
    assert differences(clone / "leaderboards") == []
    (clone / "leaderboards" / "README.md").write_text("# Mine\n", encoding="utf-8")
    assert differences(clone / "leaderboards") == ["README.md: differs"]


def test_a_site_that_is_a_link_is_named_and_not_looked_into(built):
    (built / "site").rename(built.parent / "elsewhere")
    (built / "site").symlink_to(built.parent / "elsewhere")
    assert differences(built) == ["site: is a link, expected a folder"]


@pytest.mark.parametrize("name", ["harbour-sample/track.yaml", "harbour/published.yaml"])
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(built, name):
    (built / name).unlink()
    os.mkfifo(built / name)
    with pytest.raises(DataError, match="expected a plain file"):
        differences(built)


@pytest.mark.parametrize(
    "name", ["harbour-sample", "harbour-sample/track.yaml", "harbour-sample/submissions", "harbour", "harbour/published.yaml"]
)
@pytest.mark.parametrize("look", [differences, build])
def test_nothing_is_read_or_written_through_a_link(built, look, name):
    outside = built.parent / "outside"
    (built / name).rename(outside)
    (built / name).symlink_to(outside)
    before = {path: path.read_bytes() for path in built.parent.rglob("*") if path.is_file()}
    with pytest.raises(DataError, match="is a link, which is not followed"):
        look(built)
    after = {path: path.read_bytes() for path in built.parent.rglob("*") if path.is_file() and path.name != ".build.lock"}
    assert after == {path: text for path, text in before.items() if path.name != ".build.lock"}
