"""The comparison's page as a file: what it is made of, that it loads nothing, that data stay data, and that it stays small."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from convbench.comparison.consistency_model import Consistency
from convbench.comparison.model import Comparison, Family, Settings, TaskComparison
from convbench.comparison.task import Entrant, Task, Yardstick
from convbench.report.comparison.packed import packed
from convbench.report.comparison.page_tables import page_table
from convbench.report.comparison.page_text import prose
from convbench.report.comparison.table import Cell, Column, Table
from convbench.report.comparison.turn_data import LENGTHS, packed_turns
from convbench.report.comparison.turn_details import TURNS_A_PAGE, page_details, paged
from convbench.types import Exchange, Passage, Reference, Turn, TurnRecord

AMPLE = 10_000_000


def unpacked(text: str) -> Any:
    return json.loads(gzip.decompress(base64.b64decode(text)))


class Store:
    """Passages by id, as far as the page reads a store."""

    def __init__(self, *passages: Passage) -> None:
        self.known = {passage.id: passage for passage in passages}

    def rows(self, ids: list[str]) -> list[int]:
        return [0 if id_ in self.known else -1 for id_ in ids]

    def get(self, ids: list[str]) -> list[Passage]:
        return [self.known[id_] for id_ in ids]


def turn(id_: str, **given: Any) -> Turn:
    return Turn(id_, **{"query": f"query {id_}", "gold": {"gold": 2}, "references": (Reference(f"reference {id_}"),)} | given)


def entrant(label: str, records: list[TurnRecord], **run: Any) -> Entrant:
    found = SimpleNamespace(name=label, records={record.turn_id: record for record in records}, **run)
    return Entrant(label, "", cast(Any, found))


def compared(turns: list[Turn], store: Store | None, *entrants: Entrant, baseline: str | None = None) -> TaskComparison:
    first = replace(
        entrants[0], run=cast(Any, SimpleNamespace(**vars(entrants[0].run), dataset=SimpleNamespace(turns=tuple(turns)), store=store))
    )
    measure = Yardstick("", "nDCG@3", "nDCG@3", "s", "ranking", True, True, "mean", "unit", True, "all")
    values = np.linspace(0, 1, len(turns) * len(entrants)).reshape(len(turns), -1)
    values[0, 0] = np.nan
    task = Task("t", "A task", (first, *entrants[1:]), (measure,), {"nDCG@3": values})
    labels = {"depth": tuple(str(turn.number) for turn in turns), "never": (None,) * len(turns)}
    return TaskComparison(task, baseline, Family((), (), 0), (), (), labels, Consistency(None, None, 3, 0.5), ())


def small(texts: int = 10) -> Comparison:
    turns = [turn("c_1"), turn("c_2", history=(Exchange("c_1", "query c_1", "x" * texts),))]
    passages = (*((f"p{place}", 1.0 / (place + 1)) for place in range(7)), ("gold", 0.0001234567))
    records = [TurnRecord(one.id, "sent", passages, "r" * texts, ("p0", "gold")) for one in turns]
    store = Store(*(Passage(f"p{place}", "t" * texts, f"title {place}") for place in range(7)), Passage("gold", "g" * texts))
    return Comparison((compared(turns, store, entrant("a", records), entrant("b", records[:1])),), Settings(), "1")


# ---- what is packed


def test_packing_is_exact_and_always_the_same():
    value = {"</script>": ["<b>", None, 1.5, "שלום", "\u2028"], "half": "\ud800"}
    assert packed(value) == packed(value)
    assert unpacked(packed(value)) == value | {"half": "?"}
    assert re.fullmatch(r"[A-Za-z0-9+/=]+", packed(value))


def test_the_index_holds_every_turn_column_by_column():
    (task,), _ = packed_turns(small(), AMPLE)
    index = unpacked(task.index)
    assert (index["ids"], index["queries"], index["pages"]) == (["c_1", "c_2"], ["query c_1", "query c_2"], [0, 0])
    assert index["values"] == [[[None, 0.6667], [0.3333, 1.0]]], "a measure, its systems, their turns"
    assert index["measures"] == [{"label": "nDCG@3", "side": "ranking", "higher": True}]
    assert [slicing["name"] for slicing in index["slicings"]] == ["depth"], "a slicing that labels no turn is no choice"
    assert index["chosen"] == [0, 1]


def test_the_baseline_is_the_second_system_at_first():
    comparison = small()
    turned = replace(comparison, tasks=(replace(comparison.tasks[0], baseline="a"),))
    (task,), _ = packed_turns(turned, AMPLE)
    assert unpacked(task.index)["chosen"] == [1, 0]


def test_details_hold_the_top_and_the_ranks_of_deeper_gold():
    (task,), _ = packed_turns(small(), AMPLE)
    page = unpacked(task.pages[0])
    first, second = page["turns"]["c_2"]["systems"]
    assert [id_ for id_, _ in first["top"]] == ["p0", "p1", "p2", "p3", "p4"]
    assert (first["gold"], first["depth"], first["given"]) == ({"gold": 8}, 8, ["p0"])
    assert second is None, "that run lacks the turn"
    assert page["passages"]["gold"] == ["", "g" * 10]
    assert "p5" not in page["passages"]
    assert page["exchanges"] == {"c_1": ["query c_1", "x" * 10]}
    assert unpacked(task.responses) == {"c_1": ["r" * 10, "r" * 10], "c_2": ["r" * 10, None]}


def test_passages_that_are_not_at_hand_are_left_out():
    turns = [turn("c_1")]
    records = [TurnRecord("c_1", passages=(("p0", 1.0), ("p1", 0.5)))]
    for store, known in ((Store(Passage("p1", "text")), {"p1": ["", "text"]}), (None, {})):
        task = compared(turns, store, entrant("a", records)).task
        assert page_details(task, turns)["passages"] == known


def test_pages_hold_whole_conversations():
    turns = [turn(f"c{conversation}_{number}") for conversation in range(9) for number in range(1, 31)]
    pages = paged(turns)
    assert [one for page in pages for one in page] == turns
    assert all(len(page) >= TURNS_A_PAGE for page in pages[:-1])
    homes = {one.conversation_id: number for number, page in enumerate(pages) for one in page}
    assert all(homes[one.conversation_id] == number for number, page in enumerate(pages) for one in page)


def test_texts_are_cut_only_as_far_as_the_budget_asks():
    assert packed_turns(small(1000), AMPLE)[1] is None
    long = small(100_000)
    cut, lengths = packed_turns(long, AMPLE)
    assert lengths == LENGTHS[0]
    assert len(unpacked(cut[0].pages[0])["passages"]["p0"][1]) == LENGTHS[0].passage + len(" …")
    smaller, lengths = packed_turns(long, budget=cut[0].size - 1)
    assert lengths in LENGTHS[1:]
    assert smaller[0].size < cut[0].size
    least, lengths = packed_turns(long, budget=1)
    assert lengths == LENGTHS[-1]
    assert unpacked(least[0].pages[0])["passages"]["p0"][1] == "…"


# ---- tables


def table(*rows: tuple[Cell, ...], columns: tuple[Column, ...] = ()) -> Table:
    chosen = columns or (Column("System", kind="text"), Column("one", "group"), Column("two", "group"), Column("three"))
    return Table("t", "Caption", chosen, rows, ("note",))


def test_headings_stand_in_two_rows_where_columns_have_groups():
    upper, lower = page_table(table()).head
    assert [(heading.label, heading.scope, heading.colspan, heading.rowspan) for heading in upper] == [
        ("System", "col", 1, 2),
        ("group", "colgroup", 2, 1),
        ("three", "col", 1, 2),
    ]
    assert [heading.label for heading in lower] == ["one", "two"]
    (only,) = page_table(table(columns=(Column("System", kind="text"), Column("one")))).head
    assert [heading.rowspan for heading in only] == [1, 1]


def test_cells_sort_by_full_precision_and_share_footnotes():
    cells = (Cell("a"), Cell("1.0", 0.0100001, note="why"), Cell("n/c", note="other"), Cell("2", 2.0, mark="ab", note="why"))
    shown = page_table(table(cells, (Cell("b"), Cell("1.0", 0.01), Cell("–"), Cell("3", 3.0))))
    assert [cell.order for cell in shown.body[0]] == ["a", "0.0100001", "", "2.0"]
    assert [cell.footnote for cell in shown.body[0]] == [0, 1, 2, 1]
    assert shown.footnotes == ("why", "other")
    assert [cell.marked for cell in shown.body[1]] == [False, False, False, True]
    assert [cell.tag for cell in shown.body[0]] == ["th", "td", "td", "td"]
    assert shown.marks == 2


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("run `a <b>` now", "run <code>a &lt;b&gt;</code> now"),
        ("<b>`", "&lt;b&gt;`"),
        ("`x` & `y`", "<code>x</code> &amp; <code>y</code>"),
        ("plain {}", "plain {}"),
    ],
)
def test_commands_in_sentences(text, shown):
    assert prose(text) == shown


# ---- the whole page


class Parts(HTMLParser):
    """Ids, what is loaded, and scripts of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: Counter[str] = Counter()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.labelled: list[str] = []
        self.headings: list[int] = []
        self.policy = ""
        self.scripts: list[str] = []
        self._in_script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = {name: value or "" for name, value in attrs}
        if "id" in known:
            self.ids[known["id"]] += 1
        if tag in ("link", "iframe", "object", "embed", "base") or "src" in known or "srcset" in known:
            self.loaded.append(f"{tag} {known}")
        if tag == "a":
            self.links.append(known["href"])
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        self.labelled += [id_ for name in ("aria-labelledby", "aria-controls") for id_ in known.get(name, "").split()]
        if known.get("http-equiv") == "Content-Security-Policy":
            self.policy = known["content"]
        self._in_script = tag == "script" and known.get("type") != "text/plain"

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.scripts.append(data)

    def handle_endtag(self, tag: str) -> None:
        self._in_script = False


@pytest.fixture(scope="module")
def comparison(tmp_path_factory) -> Comparison:
    from command_line import succeed

    from convbench.analysis.resampling import Resampling
    from convbench.comparison.build import compare

    runs = tmp_path_factory.mktemp("page") / "runs"
    systems = ("bm25-query", "bm25-rewrite", "oracle")
    succeed("run", *systems, "-d", "topiocqa", "-d", "inscit", "--out", runs, "--metrics", "retrieval,token-f1")
    paths = [runs / dataset / system for dataset in ("topiocqa", "inscit") for system in systems]
    return compare(paths, settings=Settings(resampling=Resampling(resamples=200)))


@pytest.fixture(scope="module")
def page(comparison) -> str:
    from convbench.report.comparison.page import render_page

    return render_page(comparison)


@pytest.fixture(scope="module")
def parts(page) -> Parts:
    found = Parts()
    found.feed(page)
    return found


def test_the_same_comparison_gives_the_same_page(comparison, page):
    from convbench.report.comparison.page import render_page

    assert render_page(comparison) == page


def test_the_page_loads_nothing_and_its_policy_forbids_it(page, parts):
    assert parts.loaded == []
    assert not re.search(r"@import|url\((?!#)", page.split("</style>")[0])
    assert all(link.startswith("#") for link in parts.links)
    assert "default-src 'none'" in parts.policy
    script_policy = parts.policy.partition("script-src ")[2].partition(";")[0]
    hashes = {f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in parts.scripts}
    assert set(script_policy.split()) == {*hashes, "blob:"}, "these very scripts and the library, no other"


def test_ids_are_unique_and_links_lead_somewhere(parts):
    assert [id_ for id_, times in parts.ids.items() if times > 1] == []
    assert {link[1:] for link in parts.links} - parts.ids.keys() == set()
    assert set(parts.labelled) - parts.ids.keys() - {"turn-title"} == set(), "the title of a turn comes with the turn"


def test_headings_skip_no_level(parts):
    assert parts.headings[0] == 1
    assert all(after <= before + 1 for before, after in zip(parts.headings, parts.headings[1:], strict=False))


def test_every_table_can_be_copied_in_three_forms(page):
    copies = unpacked(re.search('id="copies">([^<]*)<', page)[1])
    assert set(re.findall('data-table="([^"]+)"', page)) == copies.keys()
    assert all(copy[form].strip() for copy in copies.values() for form in ("latex", "markdown", "csv"))


def test_every_turn_of_every_task_can_be_opened(comparison, page):
    blocks = dict(re.findall('<script type="text/plain" id="([^"]+)">([^<]*)<', page))
    for task in (compared.task for compared in comparison.tasks):
        index = unpacked(blocks[f"turns-{task.id}-index"])
        pages = {number: unpacked(blocks[f"turns-{task.id}-page-{number}"]) for number in set(index["pages"])}
        assert index["ids"] == [turn.id for turn in task.turns]
        assert all(id_ in pages[number]["turns"] for id_, number in zip(index["ids"], index["pages"], strict=True))


def test_the_page_keeps_to_its_size(comparison, page):
    from convbench.report.comparison.page import render_page

    largest = len(page.encode()) - 5_000
    smaller = render_page(comparison, largest)
    assert len(smaller.encode()) <= largest
    assert "To keep this page small, texts are cut" in smaller
    assert "To keep this page small, texts are cut" not in page
