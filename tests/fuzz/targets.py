"""Every parser of convbench by name, and what must hold whatever it is given. A new parser is one more line in ``TARGETS``."""

from __future__ import annotations

import dataclasses
import gzip
import json
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from convbench.backends.profile import Profile
from convbench.config import Config, build_config, load_config, read_yaml
from convbench.datasets.base import DatasetAdapter, DatasetCard
from convbench.datasets.canard import read_canard
from convbench.datasets.corpora import check_id, jsonl_passages, tsv_passages
from convbench.datasets.loading import DatasetRequest, open_dataset
from convbench.datasets.pool import read_pool
from convbench.datasets.quac import read_quac
from convbench.datasets.store import read_manifest
from convbench.errors import ConvbenchError, MissingFileError
from convbench.exchange import FORMATS
from convbench.exchange.base import ImportRequest
from convbench.harness.agreement_file import read_agreement
from convbench.harness.folder import RunFolder
from convbench.harness.plan import system_config
from convbench.harness.results import read_results
from convbench.harness.score_file import read_scores
from convbench.io.jsonl import read_json, read_jsonl
from convbench.io.runfile import read_run
from convbench.io.trec import read_qrels
from convbench.io.trec_columns import read_columns
from convbench.io.trec_run import read_rankings, read_trec_lines, read_trec_run
from convbench.leaderboard.check_folder import check_folder
from convbench.metrics.protocol import Protocol
from convbench.retrieval.index_journal import Journal
from convbench.systems.catalog import shipped, system_values
from convbench.systems.replay import read_records
from convbench.training.negatives import read_negatives
from convbench.types import Passage
from convbench.validation.kinds import Kind
from convbench.validation.target import Datasets
from convbench.validation.validate import validate


class Target(NamedTuple):
    """A parser.

    Attributes:
        seeds: The folder in ``seeds`` that holds its inputs, files or folders; parsers of one format share it.
        read: Reads one.
    """

    seeds: str
    read: Callable[[Path], object]


def only_read(read: Callable[[Path], object]) -> Callable[[Path], object]:
    """What looks at no text: whoever takes one out of it checks it."""

    def read_all(path: Path) -> object:
        value = read(path)
        return len(list(value)) if isinstance(value, Iterator) else None

    return read_all


def dataset(name: str, split: str) -> Callable[[Path], object]:
    """Reads all that an adapter gives."""

    def read(root: Path) -> object:
        rewrites = root / "rewrites.jsonl"
        opened = open_dataset(DatasetRequest(name, data=root, split=split, rewrites=rewrites if rewrites.exists() else None))
        sets = [opened.retrieval_turns().ids, opened.response_turns().ids, [turn.number for turn in opened.turns]]
        return [opened.conversations, opened.adapter.qrels(), sets, passages(opened.adapter, root)]

    return read


def passages(adapter: DatasetAdapter, root: Path) -> list[Passage]:
    """The collection, with ids as a passage store takes them; nothing where there is none."""
    try:
        found = list(adapter.collection().passages())
    except MissingFileError:
        return []
    for passage in found:
        check_id(passage.id, root)
    return found


def pool(folder: Path) -> object:
    opened = read_pool(folder)
    return [opened.manifest, opened.manifest.describe(), list(opened.collection().passages())]


def rewrites(path: Path) -> object:
    return open_dataset(DatasetRequest("topiocqa", rewrites=path)).turns


def system(path: Path) -> object:
    return system_config(system_values(str(path)), str(path))


def profile(path: Path) -> object:
    document = read_yaml(path)
    return build_config(Profile, document["profile"], str(path)) if isinstance(document, dict) and "profile" in document else document


def imported(format_: str, *, turn_ids: str | None = None) -> Callable[[Path], object]:
    """Brings a foreign file in, and reads what was written: a dataset, a joint run or judgements."""

    def read(path: Path) -> object:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "out.jsonl"
            summary = FORMATS.get(format_).import_(ImportRequest(path, out, turn_ids))
            if out.is_dir():
                return [summary.as_json()["counts"], dataset("generic", read_yaml(out / "dataset.yaml")["default_split"])(out)]
            return [summary.as_json()["counts"], read_qrels(out) if format_ == "qrels" else read_run(out)]

    return read


def trec_columns(path: Path) -> object:
    """A run as arrays, which must be what goes line by line; nothing where the other reader is needed."""
    columns = read_columns(path)
    if columns is None:
        return None
    rankings = read_rankings(columns)
    assert list(rankings.items()) == list(read_trec_lines(path).items())
    return rankings


@cache
def scratch() -> Path:
    """A passage store is built once, not for every input."""
    return Path(tempfile.mkdtemp(prefix="convbench-fuzz-"))


def validated(kind: Kind | None) -> Callable[[Path], object]:
    return lambda path: [problem.to_json() for problem in validate(path, kind, Datasets(None, DatasetRequest, scratch())).problems]


def submission(root: Path) -> object:
    """Packs the run, which lies there unpacked so that changes reach what is inside, and checks the submission."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file in root.iterdir():
            if file.name == "run.jsonl":
                (folder / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes(), 1))
            else:
                (folder / file.name).write_bytes(file.read_bytes())
        report = check_folder(folder, root=shipped("leaderboards"), real_data=None, data=None, cache=scratch())
    assert not any("could not be checked" in problem.message for problem in report.problems), report.problems
    return [problem.to_json() for problem in report.problems]


TARGETS: dict[str, Target] = {
    "json": Target("json-qrels", only_read(read_json)),
    "jsonl": Target("joint-run", only_read(read_jsonl)),
    "joint-run": Target("joint-run", read_run),
    "trec-run": Target("trec-run", read_trec_run),
    "trec-columns": Target("trec-run", trec_columns),
    "replayed-run": Target("trec-run", read_records),
    "qrels": Target("qrels", read_qrels),
    "rewrites": Target("rewrites", rewrites),
    "scores": Target("scores", read_scores),
    "topiocqa": Target("topiocqa", dataset("topiocqa", "dev")),
    "qrecc": Target("qrecc", dataset("qrecc", "test")),
    "qrecc-sampled": Target("qrecc-sampled", dataset("qrecc", "dev")),
    "orquac": Target("orquac", dataset("orquac", "dev")),
    "canard": Target("canard", lambda path: [turn for _, turn in read_canard(path)]),
    "quac": Target("quac", lambda path: [turn for _, turn in read_quac(path)]),
    "inscit": Target("inscit", dataset("inscit", "dev")),
    "faithdial": Target("faithdial", dataset("faithdial", "test")),
    "cast-2019": Target("cast-2019", dataset("cast", "2019")),
    "cast-2020": Target("cast-2020", dataset("cast", "2020")),
    "cast-2021": Target("cast-2021", dataset("cast", "2021")),
    "generic": Target("generic", dataset("generic", "all")),
    "tsv-corpus": Target("tsv-corpus", lambda path: list(tsv_passages(path))),
    "jsonl-corpus": Target("jsonl-corpus", lambda path: list(jsonl_passages([path], id_field="id", text_field="contents"))),
    "system": Target("system", system),
    "card": Target("card", lambda path: load_config(DatasetCard, path)),
    "profile": Target("profile", profile),
    "protocol": Target("protocol", lambda path: load_config(Protocol, path)),
    "results": Target("results", only_read(read_results)),
    "agreement": Target("agreement", lambda path: read_agreement(path / "agreement-own.jsonl")),
    "negatives": Target("negatives", read_negatives),
    "run-folder": Target("run-folder", only_read(lambda path: RunFolder(path).spec())),
    "store": Target("store", only_read(read_manifest)),
    "index-journal": Target("index-journal", lambda path: list(Journal(path).entries())),
    "pool": Target("pool", pool),
    "import-trec": Target("trec-run", imported("trec")),
    "import-ranx": Target("ranx-run", imported("ranx")),
    "import-scai": Target("scai-run", imported("scai-qrecc")),
    "import-ikat": Target("ikat-run", imported("ikat")),
    "import-mtrag": Target("mtrag-run", imported("mtrag")),
    "import-responses": Target("responses", imported("responses")),
    "import-qrels": Target("qrels", imported("qrels")),
    "import-json-qrels": Target("json-qrels", imported("qrels")),
    "import-tsv-qrels": Target("tsv-qrels", imported("qrels")),
    "import-beir": Target("hub", imported("beir")),
    "import-mteb": Target("hub", imported("mteb")),
    "validate": Target("joint-run", validated(None)),
    "validate-run": Target("trec-run", validated("run")),
    "validate-joint-run": Target("joint-run", validated("run")),
    "validate-responses": Target("responses", validated("responses")),
    "validate-qrels": Target("qrels", validated("qrels")),
    "validate-json-qrels": Target("json-qrels", validated("qrels")),
    "validate-submission": Target("submission", submission),
}


def outcome(target: Target, path: Path) -> str:
    """What came of reading an input: ``read``, or the kind of error, without the input's own words.

    Raises:
        AssertionError: An error has several lines or cannot be printed, or a text that was read cannot be written.
    """
    try:
        value = target.read(path)
    except ConvbenchError as error:
        message = str(error)
        assert message.isprintable(), f"an error that is not one printable line: {message!r}"
        return f"{type(error).__name__}: {_shape(message.replace(str(path), ''))}"
    json.dumps(_plain(value), ensure_ascii=False).encode()
    return "read"


def _shape(message: str) -> str:
    """A message without what it quotes and counts."""
    return re.sub(r"""'[^']*'|"[^"]*"|[0-9]+""", "*", message)[:200]


def _plain(value: Any) -> Any:
    """A value as JSON can hold it, every text within included."""
    if isinstance(value, Config):
        return _plain(value.model_dump())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [_plain(getattr(value, field.name)) for field in dataclasses.fields(value)]
    if isinstance(value, Mapping):
        return [[_plain(key), _plain(item)] for key, item in value.items()]
    if isinstance(value, (list, tuple, set, frozenset, Iterator)):
        return [_plain(item) for item in value]
    return value if isinstance(value, (str, int, float, bool)) or value is None else str(value)
