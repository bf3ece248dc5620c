"""The rows of a stage: whatever an interruption leaves of them, the finished file has the same bytes."""

from __future__ import annotations

import hashlib
import json
import logging

import pytest

from convbench.harness.stage_output import StageOutput

KEY, OTHER_KEY = "5e" * 32, "c0" * 32
BATCHES = [["1_1", "1_2"], ["1_3"], ["2_1", "2_2", "2_3"], ["2_4"]]
ENDS = [2, 3, 6, 7]  # rows up to the end of each batch
TEXTS = {"1_1": "plain", "1_2": "naïve café", "1_3": "", "2_1": "two\nlines", "2_2": 'a "quoted" \\ word', "2_3": "\u2028", "2_4": "橋"}


def rows_of(batch):
    return [{"turn_id": turn_id, "text": TEXTS[turn_id], "score": 1 / 3} for turn_id in batch]


def output(folder, key=KEY, batches=BATCHES):
    return StageOutput(folder, "generate", key, batches)


def complete(stage, batches=BATCHES):
    """Does what the harness does; returns how many batches were computed."""
    if stage.is_finished():
        return 0
    done = stage.resume()
    for batch in batches[done:]:
        stage.append(rows_of(batch))
    stage.finish()
    return len(batches) - done


@pytest.fixture
def whole(tmp_path):
    """The bytes of an undisturbed stage."""
    folder = tmp_path / "undisturbed"
    assert complete(output(folder)) == len(BATCHES)
    return (folder / "generate.jsonl").read_bytes()


def part_of(folder, key=KEY):
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"generate.{key[:16]}.part"


def whole_batches(content):
    """How many whole batches a prefix of the file holds."""
    return sum(content.count(b"\n") >= end for end in ENDS)


def test_rows_come_back_in_order(tmp_path):
    stage = output(tmp_path)
    complete(stage)
    assert list(stage.rows().values()) == [row for batch in BATCHES for row in rows_of(batch)]
    assert stage.total == 7


def test_a_part_cut_at_any_byte_ends_with_the_same_bytes(tmp_path, whole):
    for cut in range(len(whole) + 1):
        folder = tmp_path / str(cut)
        part_of(folder).write_bytes(whole[:cut])
        stage, kept = output(folder), whole_batches(whole[:cut])
        assert stage.batches_done() == kept, cut
        assert complete(stage) == len(BATCHES) - kept, cut
        assert (folder / "generate.jsonl").read_bytes() == whole, cut
        assert stage.is_finished()
        assert not part_of(folder).exists()


@pytest.mark.parametrize(
    "junk",
    [b"\0" * 40, b"\0\0\n", b'{"turn_id"\n', b"[1]\n", b"7\n", b"{}\n", b"\xff\xfe\n", b'{"turn_id":"9_9","text":"","score":0}\n'],
    ids=["zeros", "zero line", "cut object", "list", "number", "no turn", "not UTF-8", "other turn"],
)
def test_junk_after_any_whole_row_is_cut_off(tmp_path, whole, junk):
    ends = [0, *(index + 1 for index, byte in enumerate(whole) if byte == ord("\n"))]
    for end in ends[:-1]:
        folder = tmp_path / str(end)
        part_of(folder).write_bytes(whole[:end] + junk)
        assert complete(output(folder)) == len(BATCHES) - whole_batches(whole[:end])
        assert (folder / "generate.jsonl").read_bytes() == whole


def test_rows_after_the_last_batch_are_cut_off(tmp_path, whole):
    part_of(tmp_path).write_bytes(whole + whole[: whole.index(b"\n") + 1])
    assert complete(output(tmp_path)) == 0
    assert (tmp_path / "generate.jsonl").read_bytes() == whole


def test_rows_in_another_order_are_not_taken_for_batches(tmp_path, whole):
    lines = whole.splitlines(keepends=True)
    part_of(tmp_path).write_bytes(b"".join([lines[1], lines[0], *lines[2:]]))
    assert output(tmp_path).resume() == 0
    assert part_of(tmp_path).read_bytes() == b""


def test_interrupted_again_and_again(tmp_path, whole):
    """Every execution gets one batch done and is cut in the middle of the next."""
    for done in range(len(BATCHES)):
        stage = output(tmp_path)
        assert stage.resume() == done
        stage.append(rows_of(BATCHES[done]))
        with part_of(tmp_path).open("ab") as handle:
            handle.write(whole[part_of(tmp_path).stat().st_size :][:5])
    stage = output(tmp_path)
    assert complete(stage) == 0
    assert (tmp_path / "generate.jsonl").read_bytes() == whole


def test_a_kill_between_manifest_and_rename_loses_nothing(tmp_path, whole):
    complete(output(tmp_path))
    (tmp_path / "generate.jsonl").replace(part_of(tmp_path))
    stage = output(tmp_path)
    assert not stage.is_finished()
    assert complete(stage) == 0
    assert (tmp_path / "generate.jsonl").read_bytes() == whole


def test_looking_changes_nothing(tmp_path, whole):
    part = part_of(tmp_path)
    part.write_bytes(whole[:-3])
    before = (part.stat().st_ino, part.stat().st_mtime_ns, part.read_bytes())
    stage = output(tmp_path)
    assert stage.batches_done() == 3
    assert not stage.is_finished()
    assert (part.stat().st_ino, part.stat().st_mtime_ns, part.read_bytes()) == before
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == [part.name]


def test_manifest(tmp_path, whole):
    complete(output(tmp_path))
    assert json.loads((tmp_path / "generate.manifest.json").read_text(encoding="utf-8")) == {
        "stage": "generate",
        "key": KEY,
        "rows": 7,
        "sha256": hashlib.sha256(whole).hexdigest(),
    }
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["generate.jsonl", "generate.manifest.json"]


def test_a_finished_stage_is_not_written_again(tmp_path):
    complete(output(tmp_path))
    before = {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in tmp_path.iterdir()}
    assert complete(output(tmp_path)) == 0
    assert output(tmp_path).batches_done() == len(BATCHES)
    assert {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in tmp_path.iterdir()} == before


def test_rows_under_another_key_are_not_reused(tmp_path, whole):
    part_of(tmp_path, OTHER_KEY).write_bytes(whole)
    assert output(tmp_path).batches_done() == 0
    assert complete(output(tmp_path, OTHER_KEY)) == 0
    assert not output(tmp_path).is_finished()
    assert complete(output(tmp_path)) == len(BATCHES)
    assert not output(tmp_path, OTHER_KEY).is_finished()
    assert json.loads((tmp_path / "generate.manifest.json").read_text(encoding="utf-8"))["key"] == KEY


def test_another_partition_is_not_resumed_past_its_own_batches(tmp_path, whole):
    part_of(tmp_path).write_bytes(whole)
    batches = [["1_1"], ["1_2", "1_3"], ["2_1", "2_2", "9_9"]]
    assert output(tmp_path, batches=batches).resume() == 2


@pytest.mark.parametrize("place", [0, 40, -1])
def test_a_changed_finished_file_is_made_again(tmp_path, whole, place, caplog):
    complete(output(tmp_path))
    file = tmp_path / "generate.jsonl"
    changed = bytearray(whole)
    changed[place] ^= 1
    file.write_bytes(changed)
    with caplog.at_level(logging.WARNING):
        assert complete(output(tmp_path)) == len(BATCHES)
    assert f"{file} was changed after it was written" in caplog.text
    assert file.read_bytes() == whole


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b"{}", b"\xff"])
def test_rows_without_a_good_manifest_are_made_again(tmp_path, whole, content):
    complete(output(tmp_path))
    manifest = tmp_path / "generate.manifest.json"
    manifest.unlink() if content is None else manifest.write_bytes(content)
    assert complete(output(tmp_path)) == len(BATCHES)
    assert (tmp_path / "generate.jsonl").read_bytes() == whole


def test_a_stage_without_turns_finishes_empty(tmp_path):
    stage = output(tmp_path, batches=[])
    assert complete(stage, []) == 0
    assert stage.is_finished()
    assert list(stage.rows().values()) == []


def test_nan_is_refused_before_anything_is_written(tmp_path):
    stage = output(tmp_path)
    with pytest.raises(ValueError, match="JSON compliant"):
        stage.append([{"turn_id": "1_1", "score": float("nan")}])
    assert not part_of(tmp_path).exists()


@pytest.mark.parametrize("batch", range(len(BATCHES)))
def test_a_batch_whose_rows_were_changed_is_made_again_with_those_after_it(tmp_path, whole, batch, caplog):
    stage = output(tmp_path / "x")
    for each in BATCHES:
        stage.append(rows_of(each))
    part = part_of(tmp_path / "x")
    lines = part.read_bytes().splitlines(keepends=True)
    place = ENDS[batch] - 1
    lines[place] = lines[place].replace(b"0.3333333333333333", b"0.3333333733333333")  # a row still, of the right turn
    part.write_bytes(b"".join(lines))
    assert output(tmp_path / "x").batches_done() == batch
    assert complete(output(tmp_path / "x")) == len(BATCHES) - batch
    assert "is not what was written" in caplog.text
    assert {path.name: path.read_bytes() for path in (tmp_path / "x").glob("generate.jsonl*")} == {"generate.jsonl": whole}
    assert not list((tmp_path / "x").glob("*.part*"))


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\n", b"0" * 64])
def test_digests_that_were_changed_cost_the_batches_and_nothing_else(tmp_path, whole, content):
    stage = output(tmp_path / "x")
    for each in BATCHES[:2]:
        stage.append(rows_of(each))
    (digests,) = (tmp_path / "x").glob("*.part.digests")
    digests.write_bytes(content)
    assert complete(output(tmp_path / "x")) == len(BATCHES)
    assert (tmp_path / "x" / "generate.jsonl").read_bytes() == whole


def test_a_part_of_an_older_version_is_gone_on_from(tmp_path, whole):
    part_of(tmp_path / "x").write_bytes(b"".join(whole.splitlines(keepends=True)[:4]))
    assert complete(output(tmp_path / "x")) == len(BATCHES) - 2
    assert (tmp_path / "x" / "generate.jsonl").read_bytes() == whole
