"""What a build writes: the same bytes every time, whole at every moment, by its schema, and inert whatever the texts are."""

from __future__ import annotations

import csv
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import jsonschema
import pytest
from boards import HOSTILE, track, write_hostile, write_root, write_submission, write_track

from convbench.errors import DataError, StorageError
from convbench.io.lock import acquire
from convbench.leaderboard.build import build
from convbench.leaderboard.index_json import index_schema
from convbench.leaderboard.site.chart import nice_ticks
from convbench.leaderboard.site.environment import outside
from convbench.leaderboard.swap import write_folder
from convbench.leaderboard.wording import letters_text, line
from convbench.report.figures.wording import plain

SCHEMA = Path(__file__).parents[2] / "docs" / "schemas" / "leaderboard.schema.json"
SAMPLE = "harbour-sample"


class Page(HTMLParser):
    """Elements, texts and addresses of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    root = write_root(tmp_path_factory.mktemp("built") / "boards")
    build(root)
    return root


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    root = write_hostile(tmp_path_factory.mktemp("hostile") / "boards")
    build(root)
    return root


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def pages(root: Path) -> dict[Path, Page]:
    return {path: Page(path.read_text(encoding="utf-8")) for path in sorted((root / "site").rglob("*.html"))}


def rows(root: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((root / SAMPLE / "standings.csv").read_text(encoding="utf-8").splitlines()))


# ---- the same bytes


def test_building_again_changes_no_byte(built):
    before = contents(built)
    build(built)
    assert contents(built) == before


def test_the_order_of_folders_and_of_hashes_changes_no_byte(built, tmp_path):
    again = tmp_path / "again"
    again.mkdir()
    inputs = [path for path in built.rglob("*") if path.is_file() and "site" not in path.parts]
    for path in sorted(inputs, reverse=True):
        (again / path.relative_to(built)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, again / path.relative_to(built))
    code = "import sys; from pathlib import Path; from convbench.leaderboard.build import build; build(Path(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", code, str(again)], check=True, env={**os.environ, "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"})
    assert contents(again) == contents(built)


def test_a_withdrawn_submission_leaves_nothing(built, tmp_path):
    root = tmp_path / "boards"
    shutil.copytree(built, root)
    shutil.rmtree(root / SAMPLE / "submissions" / "buoy")
    made = build(root)
    assert not (root / "site" / "submission" / SAMPLE / "buoy.html").exists()
    assert made.scored == 5
    assert made.unscored == ((SAMPLE, "leak", "refused"), (SAMPLE, "new-one", "pending"))
    assert not any(b"Buoy" in text for name, text in contents(root).items())


# ---- whole at every moment

LOOP = """
import sys
from pathlib import Path
from convbench.leaderboard.swap import write_folder
versions = [{f"{number % 7}/{number}.html": version * 2000 for number in range(60)} for version in "ab"]
print("started", flush=True)
while True:
    for files in versions:
        write_folder(Path(sys.argv[1]), files)
"""

HALF = """
import os, signal, sys
from pathlib import Path
from convbench.leaderboard.swap import write_folder

class Dying(dict):
    def items(self):
        for number, item in enumerate(super().items()):
            if number == 30:
                os.kill(os.getpid(), signal.SIGKILL)
            yield item

write_folder(Path(sys.argv[1]), Dying({f"{number}.html": "new" for number in range(60)}))
"""


def versions_in(folder: Path) -> tuple[int, set[str]]:
    texts = [path.read_text(encoding="utf-8") for path in folder.rglob("*.html")]
    return len(texts), {text[:1] for text in texts if len(text) == 2000} | {"cut" for text in texts if len(text) != 2000}


@pytest.mark.parametrize("delay", [0.0, 0.013, 0.05, 0.11])
def test_a_killed_build_leaves_one_whole_site(tmp_path, delay):
    site = tmp_path / "site"
    write_folder(site, {f"{number % 7}/{number}.html": "a" * 2000 for number in range(60)})
    with subprocess.Popen([sys.executable, "-c", LOOP, str(site)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(delay)
        process.kill()
    assert versions_in(site) in [(60, {"a"}), (60, {"b"})]


def test_a_build_killed_half_way_leaves_the_old_site_and_the_next_one_cleans_up(built, tmp_path):
    root = tmp_path / "boards"
    shutil.copytree(built, root)
    before = contents(root)
    assert subprocess.run([sys.executable, "-c", HALF, str(root / "site")], check=False).returncode == -signal.SIGKILL
    half = {name: text for name, text in contents(root).items() if not name.startswith(".site.new/")}
    assert half == before
    assert (root / ".site.new").is_dir()
    build(root)
    assert contents(root) == before


def test_a_site_that_was_left_under_its_other_name_is_put_back(tmp_path):
    """As two renamings leave it, where a system cannot exchange folders, when it is killed between them."""
    write_folder(tmp_path / "site", {"index.html": "old"})
    (tmp_path / "site").rename(tmp_path / ".site.old")
    with pytest.raises(TypeError):
        write_folder(tmp_path / "site", {"index.html": None})
    assert (tmp_path / "site" / "index.html").read_text() == "old"
    write_folder(tmp_path / "site", {"index.html": "new"})
    assert contents(tmp_path) == {"site/index.html": b"new"}


def test_what_is_no_folder_is_not_replaced(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "site").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError, match="expected a folder"):
        write_folder(tmp_path / "site", {"index.html": "new"})
    assert contents(tmp_path / "elsewhere") == {}


@pytest.mark.parametrize("leftover", [".site.new", ".site.old"])
def test_a_leftover_that_is_a_link_is_not_written_through(built, tmp_path, leftover):
    root, outside = tmp_path / "boards", tmp_path / "outside"
    shutil.copytree(built, root)
    outside.mkdir()
    (outside / "index.html").write_text("mine", encoding="utf-8")
    (root / leftover).symlink_to(outside)
    build(root)
    assert contents(outside) == {"index.html": b"mine"}
    assert contents(root) == contents(built)


def test_a_lock_that_is_a_link_is_not_opened(built, tmp_path):
    root = tmp_path / "boards"
    shutil.copytree(built, root)
    (root / ".build.lock").unlink()
    (root / ".build.lock").symlink_to(tmp_path / "mine.txt")
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(DataError, match="is a link"):
        build(root)
    assert (tmp_path / "mine.txt").read_text(encoding="utf-8") == "mine"


def test_a_folder_of_the_sites_name_that_was_not_built_is_left_alone(tmp_path):
    root = write_root(tmp_path / "boards")
    (root / "site").mkdir()
    (root / "site" / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(StorageError, match="not built by convbench"):
        build(root)
    assert contents(root / "site") == {"mine.txt": b"mine"}
    assert not (root / "README.md").exists()
    (root / "site" / "mine.txt").unlink()
    build(root)
    assert (root / "site" / "index.html").is_file()


def test_a_second_build_waits_for_the_first(tmp_path):
    root = write_root(tmp_path / "boards")
    code = "import sys; from pathlib import Path; from convbench.leaderboard.build import build; build(Path(sys.argv[1]))"
    lock = acquire(root / ".build.lock", lambda _: None)
    with lock, subprocess.Popen([sys.executable, "-c", code, str(root)], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert f"another process (pid {os.getpid()}) builds there; waiting for it" in process.stderr.readline()
        assert not (root / "site").exists()
        lock.close()
        assert process.wait(60) == 0
    assert (root / "site" / "index.html").is_file()


def test_builds_at_once_leave_one_whole_site(built, tmp_path):
    root = tmp_path / "boards"
    shutil.copytree(built, root)
    code = (
        "import sys; from pathlib import Path; from convbench.leaderboard.build import build; [build(Path(sys.argv[1])) for _ in range(4)]"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code, str(root)], stderr=subprocess.DEVNULL) for _ in range(3)]
    assert [process.wait(120) for process in processes] == [0, 0, 0]
    assert contents(root) == contents(built)


# ---- the index


def test_the_schema_is_the_one_in_the_documentation():
    jsonschema.Draft202012Validator.check_schema(index_schema())
    assert json.loads(SCHEMA.read_text(encoding="utf-8")) == index_schema()


@pytest.mark.parametrize("which", ["built", "hostile"])
def test_the_index_follows_its_schema(which, request):
    root = request.getfixturevalue(which)
    text = (root / "index.json").read_text(encoding="utf-8")
    assert text.isascii()
    index = json.loads(text)
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    jsonschema.validate(index, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**index, "schema_version": 2}, schema)


def test_the_index_tells_standings_claims_and_reasons(built):
    index = json.loads((built / "index.json").read_text(encoding="utf-8"))
    sample = next(each for each in index["tracks"] if each["track"]["name"] == SAMPLE)
    assert [(row["id"], row["letters"], row["value"]) for row in sample["standings"][0]["rows"]][:2] == [
        ("anchor", "a", 0.412),
        ("buoy", "ab", 0.396),
    ]
    submissions = {each["id"]: each for each in sample["submissions"]}
    assert submissions["anchor"]["card"]["scores"]["nDCG@3"] == 0.415
    assert submissions["anchor"]["verified"]["scores"][0]["value"] == 0.412
    assert (submissions["leak"]["status"], submissions["leak"]["verified"]) == ("refused", None)
    assert len(index["reported"]["harbour"]["rows"]) == 3


# ---- CSV and Markdown


def test_the_csv_has_full_precision_and_all_columns(built):
    first = rows(built)[0]
    assert (first["id"], first["nDCG@3"], first["nDCG@3 low"], first["nDCG@3 topic=shift"]) == ("anchor", "0.412", "0.372", "0.352")
    assert (first["retrieval group"], first["response group"], first["index_bytes"]) == ("a", "a", "412000000")
    assert [row["id"] for row in rows(built)] == ["anchor", "buoy", "capstan", "dredge", "eddy", "oracle"]
    assert rows(built)[3]["token-f1"] == ""


def test_no_field_of_the_csv_is_a_formula(hostile):
    found = {row["id"]: row for row in rows(hostile)}
    assert found["formula"]["system"].startswith("'=HYPERLINK")
    for row in found.values():
        assert not [value for value in row.values() if value[:1] in "=+-@\t\r" and value[:1] and not re.fullmatch(r"-?[\d.e-]+", value)]


def test_reported_rows_are_in_no_standings(built):
    assert "Pilot" not in (built / "harbour" / "standings.csv").read_text(encoding="utf-8")
    readme = (built / "README.md").read_text(encoding="utf-8")
    measured, reported = readme.split("reported by papers")
    assert "Pilot" not in measured
    assert "Anchor" not in reported


def test_markdown_cells_hold_no_markup_of_their_own(hostile):
    lines = (hostile / "README.md").read_text(encoding="utf-8").splitlines()
    cells = {
        line.count("|") - line.count("\\|") for line in lines if line.startswith("| ") and "Harbour" not in line and "re-scored" in line
    }
    assert len(cells) == 2, "as many columns in every row of a side"
    text = re.sub(r"(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)", "", "\n".join(lines))  # what is code is no markup
    assert "<script" not in text
    assert "<img" not in text
    assert not re.search(r"(?<!\\)\]\((?!harbour|\.\./docs/leaderboards\.md\))", text), "no link but the own ones"
    assert not re.search("[\u202a-\u202e\u2066-\u2069]", text)


def test_the_readme_shows_groups_and_who_does_not_compete(built):
    readme = (built / "README.md").read_text(encoding="utf-8")
    assert re.search(r"\| Buoy \(rewriter \+ dense\) +\| ab +\| 39\.6 \[35\.6, 43\.6\]", readme)
    assert "*Eddy 3B* (trained on test conversations)" in readme
    assert "leak (refused); new-one (pending)" in readme
    assert "[docs/leaderboards.md](../docs/leaderboards.md)" in readme
    for address in re.findall(r"\]\(([^)]+)\)", readme.replace("(../docs/leaderboards.md)", "")):
        assert (built / address).is_file()


# ---- the site


@pytest.mark.parametrize("which", ["built", "hostile"])
def test_every_address_leads_to_a_file_of_the_site_or_is_a_marked_link_out(which, request):
    root = request.getfixturevalue(which)
    site = (root / "site").resolve()
    for path, page in pages(root).items():
        ids = {attributes.get("id") for _, attributes in page.elements}
        for tag, attributes in page.elements:
            for address in filter(None, (attributes.get("href"), attributes.get("src"))):
                if address.startswith("https://"):
                    assert (tag, attributes["rel"]) == ("a", "nofollow noopener")
                elif address != "data:,":
                    target, _, fragment = address.partition("#")
                    file = (path.parent / unquote(target)).resolve() if target else path
                    assert file.is_relative_to(site), address
                    assert file.is_file(), address
                    assert not fragment or fragment in (
                        ids if file == path else {a.get("id") for _, a in pages(root)[root / "site" / file.relative_to(site)].elements}
                    )


@pytest.mark.parametrize("which", ["built", "hostile"])
def test_pages_have_one_script_from_a_file_no_styles_and_a_strict_policy(which, request):
    for path, page in pages(request.getfixturevalue(which)).items():
        scripts = [attributes for tag, attributes in page.elements if tag == "script"]
        assert len(scripts) == 1, path
        assert scripts[0]["src"].endswith("assets/site.js")
        assert not [tag for tag, _ in page.elements if tag in ("style", "img", "iframe", "object", "embed", "base")]
        assert not [name for _, attributes in page.elements for name in attributes if name == "style" or name.startswith("on")]
        policy = next(
            attributes["content"] for tag, attributes in page.elements if attributes.get("http-equiv") == "Content-Security-Policy"
        )
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy


def test_hostile_texts_are_shown_as_texts(hostile):
    page = pages(hostile)[hostile / "site" / "submission" / SAMPLE / "hostile.html"]
    for text in HOSTILE:
        assert plain(text, 200) in page.text
    everything = "".join(path.read_text(encoding="utf-8") for path in (hostile / "site").rglob("*.html"))
    assert not re.search("[\u202a-\u202e\u2066-\u2069]", everything)
    assert "javascript:window" not in re.sub(r">[^<]*<", "", everything)
    for refused in ("script-link", "<b>", "turned"):
        assert not (hostile / "site" / "submission" / SAMPLE / f"{refused}.html").exists()


@pytest.mark.parametrize(
    "address", ["javascript:alert(1)", "data:text/html,x", "//example.org", "http://example.org", " https://example.org", "file:///etc"]
)
def test_only_https_leads_out(address):
    assert outside(address) == "#"


def test_a_track_with_nothing_measured_shows_what_papers_report_apart(built):
    page = pages(built)[built / "site" / "track" / "harbour.html"]
    assert "Nothing has been measured" in page.text
    assert "Reported by papers, not measured here" in page.text
    assert "Pilot" not in pages(built)[built / "site" / "track" / "harbour-sample.html"].text


def test_a_submission_page_tells_card_claims_findings_and_depths(built):
    page = pages(built)[built / "site" / "submission" / SAMPLE / "anchor.html"]
    for text in ("7.24 B (7,240,000,000)", "example/anchor-7b", "41.5", "overlap with the test set", "nDCG@3|v=1", "812.4 ms per turn"):
        assert text in page.text
    assert "57.2 at depth 1 (52 turns)" in page.text
    assert sum(tag == "circle" for tag, _ in page.elements) == 12, "six depths on each side"
    assert "claimed 0.420, measured 0.396" in pages(built)[built / "site" / "submission" / SAMPLE / "buoy.html"].text
    assert "12 of 120 turns are missing" in pages(built)[built / "site" / "submission" / SAMPLE / "leak.html"].text


def test_a_score_without_value_says_why(built, tmp_path):
    root = tmp_path / "boards"
    shutil.copytree(built, root)
    folder = write_submission(root, SAMPLE, "empty", {"nDCG@3": None})
    verified = json.loads((folder / "verified.json").read_text(encoding="utf-8"))
    verified["scores"][0]["reason"] = "no turn has a ranking"
    (folder / "verified.json").write_text(json.dumps(verified), encoding="utf-8")
    build(root)
    found = pages(root)
    assert "no turn has a ranking" in found[root / "site" / "submission" / SAMPLE / "empty.html"].text
    assert any(
        attributes.get("title") == "no value: no turn has a ranking"
        for _, attributes in found[root / "site" / "track" / f"{SAMPLE}.html"].elements
    )


@pytest.mark.parametrize(
    ("letters", "shown"),
    [
        ("", ""),
        ("a", "a"),
        ("abc", "abc"),
        ("abcd", "a–d"),
        ("abdefgi", "abd–gi"),
        ("xyz(aa)(ab)", "x–(ab)"),
        ("(az)(ba)(bb)(bd)", "(az)(ba)(bb)(bd)"),
    ],
)
def test_many_letters_are_shown_as_runs(letters, shown):
    assert letters_text(letters) == shown


@pytest.mark.parametrize(("low", "high"), [(22.4, 41.2), (0.0, 0.0), (99.9, 100.0), (3.0, 97.0), (-4.0, 812.0)])
def test_ticks_are_round_and_hold_the_values(low, high):
    ticks = nice_ticks(low, high)
    assert ticks[0] <= low <= high <= ticks[-1]
    assert 2 <= len(ticks) <= 8
    assert len({round(later - earlier, 9) for earlier, later in itertools.pairwise(ticks)}) == 1


# ---- names, numbers and marks


def flagged(root: Path) -> Path:
    write_submission(
        root,
        SAMPLE,
        "copier",
        {"nDCG@3": 0.3, "R@10": 0.4, "token-f1": 0.9},
        card={"name": "Copier"},
        findings=[
            ("responses-copied", "flag", "41 of 60"),
            ("scores-differ", "flag", "x"),
            ("odd-thing", "flag", "y"),
            ("depth", "note", "z"),
        ],
    )
    return root


def test_what_is_remarkable_stands_in_readme_and_csv(tmp_path):
    root = flagged(write_root(tmp_path / "boards"))
    build(root)
    marks = "references copied, other scores claimed, odd thing"
    assert {row["id"]: row["marks"] for row in rows(root)}["copier"] == marks
    lines = [line for line in (root / "README.md").read_text(encoding="utf-8").splitlines() if line.startswith("| Copier ")]
    assert len(lines) == 2
    assert all(f"| {marks} " in line for line in lines)
    assert {row["id"]: row["marks"] for row in rows(root)}["anchor"] == ""


LINKS = ("https://example.org/x", "see HTTP://example.org", "www.example.org", "WWW.example.org", "@somebody wins", "a|b@example.org `x`")


@pytest.mark.parametrize("name", LINKS)
def test_no_name_becomes_a_link_in_the_readme(tmp_path, name):
    root = write_root(tmp_path / "boards")
    write_submission(root, SAMPLE, "linking", {"nDCG@3": 0.9}, card={"name": name})
    build(root)
    (row,) = [line for line in (root / "README.md").read_text(encoding="utf-8").splitlines() if "| 90.0 " in line]
    cell = re.split(r"(?<!\\)\|", row)[1].strip()
    assert re.fullmatch(r"(`+) ?(.+?) ?\1", cell)
    assert name in cell.replace("\\|", "|")


def test_a_folder_that_is_named_like_a_link_becomes_none(tmp_path):
    root = write_root(tmp_path / "boards")
    write_submission(root, SAMPLE, "www.Example.org", None)
    build(root)
    assert "`www.Example.org` (unreadable)" in (root / "README.md").read_text(encoding="utf-8")


def test_heaps_of_marks_are_cut_and_accents_are_not():
    assert line("Zu\u0308rich " + "e\u0301\u0302\u0323") == "Zu\u0308rich e\u0301\u0302\u0323"
    assert line("x" + "\u0301" * 180 + "y") == "x" + "\u0301" * 4 + "y"
    assert line("\u20dd" * 9) == "\u20dd" * 4


@pytest.mark.parametrize("card", [{"scores": {"nDCG@3": 1e308}}, {"cost": {"price": 1e308}}, {"parameters": 10**300}])
def test_no_number_is_shown_that_no_page_can_hold(tmp_path, card):
    root = write_root(tmp_path / "boards")
    write_submission(root, SAMPLE, "vast", {"nDCG@3": 0.9}, card=card)
    build(root)
    everything = "".join(text.decode() for name, text in contents(root).items() if name.endswith((".html", ".csv", ".md")))
    assert not re.search(r"\d{40}|[\d,]{40}|>-?inf<|\binf\b|\bnan\b", everything)


# ---- charts and groups


def test_a_chart_has_every_point_of_a_long_history(tmp_path):
    root = tmp_path / "boards"
    write_track(root, track(SAMPLE))
    for number in range(130):
        day = f"2026-{1 + number // 28:02}-{1 + number % 28:02}"
        write_submission(
            root, SAMPLE, f"s{number:03}", {"nDCG@3": 0.2 + 0.002 * number}, card={"name": f"Number {number}", "submitted": day}
        )
    build(root)
    page = pages(root)[root / "site" / "track" / f"{SAMPLE}.html"]
    (points,) = [attributes["points"] for tag, attributes in page.elements if tag == "polyline"]
    places = points.split(" ")
    assert len(places) == 2 * 130 - 1
    assert all(re.fullmatch(r"-?\d+\.\d,-?\d+\.\d", place) for place in places)


def test_more_groups_than_letters_are_told_in_numbers(tmp_path):
    """Thirteen families of two that are told apart from nobody but each other: 8,192 groups."""
    root = tmp_path / "boards"
    write_track(root, track(SAMPLE))
    for number in range(26):
        twin = f"s{number ^ 1:02}"
        separated = {"nDCG@3": [twin]}
        write_submission(root, SAMPLE, f"s{number:02}", {"nDCG@3": 0.9 - 0.01 * number}, card={"name": f"S {number}"}, separated=separated)
    start = time.process_time()
    build(root)
    assert time.process_time() - start < 20
    assert {row["retrieval group"] for row in rows(root)} == {"apart from 1 of 25"}
    index = json.loads((root / "index.json").read_text(encoding="utf-8"))
    assert {(row["letters"], row["apart"]) for row in index["tracks"][0]["standings"][0]["rows"]} == {("", 1)}
    page = pages(root)[root / "site" / "track" / f"{SAMPLE}.html"]
    assert "apart from 1 of 25" in page.text
    assert sum(tag == "strong" for tag, _ in page.elements) == 26, "all but the best one's twin are not told apart from it, and the word"


def test_it_is_said_where_no_difference_can_be_found(tmp_path):
    root = tmp_path / "boards"
    write_track(root, track(SAMPLE))
    for number in range(6):
        folder = write_submission(root, SAMPLE, f"s{number}", {"nDCG@3": 0.9 - 0.1 * number, "R@10": 0.5}, card={"name": f"S {number}"})
        verified = json.loads((folder / "verified.json").read_text(encoding="utf-8"))
        verified["scores"][0]["n_conversations"] = 9
        (folder / "verified.json").write_text(json.dumps(verified), encoding="utf-8")
        build(root)
        said = "No difference is large enough to be found here: over 9 conversations p is never below 0.0039"
        # Five systems have 10 pairs: 0.05 / 10 is still above 2 / 512; six have 15.
        assert (said in pages(root)[root / "site" / "track" / f"{SAMPLE}.html"].text) == (number == 5)
        assert (said in (root / "README.md").read_text(encoding="utf-8")) == (number == 5)
