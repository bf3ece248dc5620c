from __future__ import annotations

import gzip
import json
import shutil
import tarfile

import pytest
import yaml
from command_line import convbench, succeed

import convbench as package
from convbench.leaderboard import measured
from convbench.systems.catalog import shipped

DIFFERS, USAGE, DATA, REFUSED, BROKEN = 1, 2, 3, 4, 7
TRACK = "orquac-mini"
RUNS = ("bm25-query", "oracle")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    succeed("run", *RUNS, "-d", "orquac", "--metrics", "retrieval,rouge,token-f1", "--offline", "--out", out)
    return out / "orquac"


@pytest.fixture
def root(tmp_path):
    for name in (TRACK, "inscit-mini", "inscit-sample"):
        (tmp_path / "boards" / name).mkdir(parents=True)
        shutil.copy(shipped("leaderboards") / name / "track.yaml", tmp_path / "boards" / name)
    return tmp_path / "boards"


def submit(root, *arguments, track=TRACK):
    return convbench("leaderboard", "submit", *arguments, "--track", track, "--root", root)


def verify(root, *arguments):
    return convbench("leaderboard", "verify", "--root", root, *arguments)


def card_of(root, id_):
    return yaml.safe_load((root / TRACK / "submissions" / id_ / "manifest.yaml").read_text(encoding="utf-8"))


def test_runs_are_packed_verified_and_built(runs, root):
    finished = submit(root, runs, "--trained-on", "nothing", "--author", "A. Person")
    assert finished.code == 0, finished.err
    assert [line.rpartition("/")[2] for line in finished.out.splitlines()] == list(RUNS)
    assert card_of(root, "bm25-query")["authors"] == "A. Person"
    assert sum(path.stat().st_size for path in (root / TRACK / "submissions" / "oracle").iterdir()) < 10_000

    finished = verify(root)
    assert finished.code == 0, finished.err
    heading, header, first, second = finished.out.splitlines()
    assert heading == f"{TRACK}: 2 reproduced; 2 scored now, 0 known from before"
    assert header.split()[:4] == ["submission", "level", "nDCG@3", "F1-max"]
    assert (first.split()[0], second.split()) == ("bm25-query", ["oracle", "reproduced", "100.0", "100.0"])
    assert verify(root, "--check").out.startswith(f"{TRACK}: 2 reproduced; 0 scored now, 2 known from before")

    assert succeed("leaderboard", "build", "--root", root).out.splitlines()[0] == "3 tracks, 2 submissions"
    assert "bm25-query" in (root / TRACK / "standings.csv").read_text(encoding="utf-8")
    assert succeed("leaderboard", "build", "--check", "--root", root).out == ""
    (root / "README.md").write_text("bm25-query wins\n", encoding="utf-8")
    finished = convbench("leaderboard", "build", "--check", "--root", root)
    assert (finished.code, finished.out) == (DIFFERS, "README.md: differs\n")
    assert (root / "README.md").read_text(encoding="utf-8") == "bm25-query wins\n"


def test_one_refusal_does_not_stop_the_others(runs, root):
    assert submit(root, runs / "oracle").code == 0
    finished = submit(root, runs, "--json")
    assert finished.code == USAGE
    assert [sorted(each) for each in finished.json] == [["packed", "run"], ["refused", "run"]]
    assert finished.err.startswith("refused: ")
    assert finished.err.count("\n") == 1
    assert "exists already" in finished.err


def test_a_run_of_another_dataset_is_refused(runs, root):
    finished = submit(root, runs / "oracle", track="inscit-mini")
    assert (finished.code, finished.out) == (USAGE, "")
    assert "the track inscit-mini is of 'inscit'" in finished.err
    assert not (root / "inscit-mini" / "submissions").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--id", "mine"), "--id mine: an id is for one run, found 2"),
        (("--trained-on", "qrecc=maybe"), "--trained-on 'qrecc=maybe': expected SOURCE[:SPLIT][=OVERLAP], OVERLAP being one of none, some"),
        (("--trained-on", "=none"), "--trained-on '=none': expected SOURCE[:SPLIT][=OVERLAP]"),
        (("--trained-on", "nothing", "--trained-on", "qrecc"), "--trained-on nothing: says that there is no source"),
        (("--link", "paper"), "--link 'paper': expected NAME=URL"),
        (("--link", "paper=javascript:alert(1)"), "answers: links.paper: "),
        (("--author", "A\u202ePerson"), "answers: authors: "),
    ],
)
def test_answers_that_cannot_be_used(arguments, said, runs, root):
    finished = submit(root, runs, *arguments)
    assert finished.code == USAGE
    assert finished.error.startswith(said)
    assert not (root / TRACK / "submissions").exists()


def test_options_take_the_place_of_the_answers_in_a_file(runs, root, tmp_path):
    answers = {"authors": "A. Person", "id": "of-the-file", "training": [{"source": "quac"}], "links": {"code": "https://example.org/code"}}
    (tmp_path / "answers.yaml").write_text(yaml.safe_dump(answers), encoding="utf-8")
    sources = ("--trained-on", "qrecc:train=none", "--trained-on", "ms-marco")
    options = ("--answers", tmp_path / "answers.yaml", "--id", "of-the-option", *sources)
    assert submit(root, runs / "bm25-query", *options).code == 0
    card = card_of(root, "of-the-option")
    assert card["training"] == [{"source": "qrecc", "split": "train", "overlap": "none"}, {"source": "ms-marco"}]
    assert (card["authors"], card["links"]) == ("A. Person", {"code": "https://example.org/code"})


def test_a_file_of_answers_names_its_mistake(runs, root, tmp_path):
    (tmp_path / "answers.yaml").write_text("authors: A. Person\ntrained_on: [qrecc]\n", encoding="utf-8")
    finished = submit(root, runs / "oracle", "--answers", tmp_path / "answers.yaml")
    assert finished.code == DATA
    assert "answers.yaml:2: " in finished.error


def test_refused_submissions_are_named_and_the_others_stand(runs, root):
    assert submit(root, runs).code == 0
    broken = root / TRACK / "submissions" / "bm25-query" / "run.jsonl.gz"
    header, *records = gzip.decompress(broken.read_bytes()).splitlines(keepends=True)
    broken.write_bytes(gzip.compress(b"".join([header, *records[1:]])))
    (root / TRACK / "submissions" / "\x1b[31mred").mkdir()
    finished = verify(root, "--check")
    assert finished.code == REFUSED
    assert f"{TRACK}: 2 refused, 1 reproduced; 3 scored now, 0 known from before" in finished.out
    assert f"refused: {TRACK}/bm25-query: turns-missing: " in finished.err
    assert f"refused: {TRACK}/\\x1b[31mred: submission-id: " in finished.err
    assert "\x1b" not in finished.out + finished.err
    built = succeed("leaderboard", "build", "--root", root)
    assert built.err.splitlines() == [
        f"{TRACK}/\\x1b[31mred: not in the standings: unreadable",
        f"{TRACK}/bm25-query: not in the standings: refused",
    ]
    listed = {each["submission"]: each for each in verify(root, "--json").json}
    assert listed["bm25-query"]["verified"]["level"] is None
    assert {each["measure"] for each in listed["oracle"]["verified"]["scores"]} == {
        "nDCG@3", "RR@100", "R@10", "R@100", "F1-max", "F1-loo", "rougeL",
    }  # fmt: skip


def test_a_fault_that_is_not_theirs_is_told_and_changes_no_file(runs, root, monkeypatch):
    assert submit(root, runs).code == 0
    assert verify(root).code == 0
    before = {path: path.read_bytes() for path in root.rglob("verified.json")}
    track = root / TRACK / "track.yaml"
    track.write_text(track.read_text(encoding="utf-8") + "contains: [quac]\n", encoding="utf-8")  # so that all are scored anew

    def breaks(*_):
        raise AttributeError("no such thing")

    monkeypatch.setattr(measured, "rescore", breaks)
    finished = verify(root)
    assert finished.code == BROKEN
    for name in RUNS:
        assert f"not verified: {TRACK}/{name}: AttributeError: no such thing; its verified.json stays as it was" in finished.err
    assert {path: path.read_bytes() for path in root.rglob("verified.json")} == before


def test_a_link_among_the_submissions_is_told(runs, root):
    assert submit(root, runs / "oracle").code == 0
    (root / TRACK / "submissions" / "linked").symlink_to("oracle")
    finished = verify(root)
    assert finished.code == REFUSED
    assert f"refused: {TRACK}/linked: link: {TRACK}/submissions/linked is a symbolic link, which is not followed" in finished.err
    assert f"{TRACK}/linked: not in the standings: unreadable" in succeed("leaderboard", "build", "--root", root).err


def test_a_score_that_was_made_up_does_not_last(runs, root):
    submit(root, runs)
    verify(root)
    path = root / TRACK / "submissions" / "bm25-query" / "verified.json"
    honest = path.read_text(encoding="utf-8")
    made_up = json.loads(honest)
    made_up["scores"][0]["value"] = 0.999
    path.write_text(json.dumps(made_up), encoding="utf-8")
    finished = verify(root, "--check")
    assert finished.code == DIFFERS
    assert finished.err == f"{TRACK}/bm25-query: verified.json was not what it is now\n"
    assert path.read_text(encoding="utf-8") == honest


def test_a_track_whose_data_are_not_here_is_passed_over_unless_it_is_named(runs, root, monkeypatch):
    monkeypatch.delenv("CONVBENCH_REAL_DATA", raising=False)
    submit(root, runs / "oracle")
    shutil.copytree(root / TRACK / "submissions", root / "inscit-sample" / "submissions")
    finished = verify(root)
    assert finished.code == 0
    assert "inscit-sample is passed over: " in finished.err
    assert verify(root, "--track", "inscit-sample").code == DATA
    assert not (root / "inscit-sample" / "submissions" / "oracle" / "verified.json").exists()
    assert verify(root, "--track", "inscit-smaple").error.startswith("unknown track 'inscit-smaple'. Did you mean 'inscit-sample'?")


def test_what_another_tool_made_is_scored_like_a_run(runs, root, tmp_path):
    turns = [json.loads(line) for line in (runs / "bm25-query" / "turns.jsonl").read_text(encoding="utf-8").splitlines()[1:]]
    responses = "".join(f"{json.dumps({'turn_id': turn['turn_id'], 'response': turn['response']})}\n" for turn in turns)
    (tmp_path / "other.jsonl").write_text(responses, encoding="utf-8")
    manifest = {"id": "other", "track": TRACK, "name": "Other", "kind": "two-stage", "submitted": "2026-01-31", "evidence": "retrieved"}
    (tmp_path / "manifest.yaml").write_text(yaml.safe_dump(manifest), encoding="utf-8")
    rankings, answers = runs / "bm25-query" / "retrieval.trec", tmp_path / "other.jsonl"
    loose = ("--manifest", tmp_path / "manifest.yaml", "--trec", rankings, "--responses", answers)
    finished = convbench("leaderboard", "import", "--track", TRACK, *loose, "--root", root)
    assert finished.code == 0, finished.err
    submit(root, runs / "bm25-query")
    verified = {each["submission"]: each["verified"] for each in verify(root, "--json").json}
    scores = {id_: [score["value"] for score in each["scores"]] for id_, each in verified.items()}
    assert scores["other"] == scores["bm25-query"]
    assert [verified[id_]["level"] for id_ in ("other", "bm25-query")] == ["re-scored", "reproduced"]


def test_an_archive_becomes_a_submission(runs, root, tmp_path):
    submit(root, runs / "oracle", "--id", "sent")
    with tarfile.open(tmp_path / "sent.tar.gz", "w:gz") as archive:
        archive.add(root / TRACK / "submissions" / "sent", "sent")
    shutil.rmtree(root / TRACK / "submissions" / "sent")
    finished = convbench("leaderboard", "import", tmp_path / "sent.tar.gz", "--track", TRACK, "--id", "sent", "--root", root, "--json")
    assert finished.code == 0, finished.err
    assert finished.json[0]["packed"] == str(root / TRACK / "submissions" / "sent")
    assert verify(root).code == 0


@pytest.mark.parametrize(
    "arguments",
    [(), ("a.zip",), ("--manifest", "m.yaml"), ("a.zip", "--id", "a", "--trec", "b.trec"), ("--trec", "b.trec")],
)
def test_import_wants_one_whole_thing(arguments, root):
    finished = convbench("leaderboard", "import", *arguments, "--track", TRACK, "--root", root)
    assert finished.code == USAGE
    assert finished.error.startswith("give --manifest with --trec")


def test_what_serve_and_build_need(tmp_path, root):
    assert convbench("leaderboard", "serve", "--root", root).error.endswith(f"convbench leaderboard build --root {root}")
    finished = convbench("leaderboard", "build", "--root", tmp_path / "nowhere")
    assert finished.code == DATA
    assert finished.error.startswith(f"{tmp_path / 'nowhere'}: no such folder")


def test_the_installed_package_is_not_written_to(tmp_path, monkeypatch):
    (tmp_path / "convbench" / "_shipped" / "leaderboards").mkdir(parents=True)
    monkeypatch.setattr(package, "__file__", str(tmp_path / "convbench" / "__init__.py"))
    for command in (("build",), ("verify",), ("submit", "x", "--track", TRACK)):
        finished = convbench("leaderboard", *command)
        assert finished.code == USAGE
        assert finished.error.startswith("the leaderboards inside the installed package are not to be changed")
