"""Reports, from results built here: what they show, what they refuse, and that both forms are sound."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path
from typing import Any, get_args

import pytest

from convbench.errors import UsageError
from convbench.harness.costs import added_up
from convbench.harness.results import Cost, DatasetResult, MetricResult, Results, Truncation, read_results, write_results
from convbench.report.build import render_html, render_markdown, write_report
from convbench.report.markdown import code, escape
from convbench.report.tables import DatasetTable, Row, dataset_tables
from convbench.report.words import TIERS, conditions_in_words, magnitude

HOSTILE = "<script>alert('x')</script> | **my_\nmodel** & `co`"


def metric(
    name: str = "nDCG@3", value: float | None = 0.5, side: str = "ranking", *, parts: str = "depth:100", **changes: Any
) -> MetricResult:
    place = "|collection:aaaa" if side == "ranking" else ""
    given = {
        "name": name,
        "side": side,
        "signature": f"{name}|{parts}|turns:bbbb{place}",
        "value": value,
        "ci": None if value is None else (value - 0.05, value + 0.05),
        "n_turns": 40,
        "n_conversations": 8,
        "n_missing": 0,
        "turn_set": "has a gold passage" if side == "ranking" else "has a reference",
    }
    return MetricResult(**given | changes)


def not_computed(name: str, reason: str) -> MetricResult:
    return metric(name, None, "response", signature="", n_turns=0, n_conversations=0, turn_set="", reason=reason)


def cost(*, models: dict[str, int] | None = None, indexes: dict[str, int] | None = None, **phases: dict[str, float]) -> Cost:
    """The cost of a run of 50 turns; each phase is given by its seconds and counts."""
    machine = {"device": "cpu", "threads": 4, "processor": "Abacus 9", "platform": "Linux"}
    return added_up([{"machine": machine, "models": models or {}, "indexes": indexes or {}, "phases": phases}], 50)


def run(name: str = "alpha", *metrics: MetricResult, kind: str = "two-stage", **changes: Any) -> Results:
    dataset = {
        "name": "tinyqa",
        "split": "dev",
        "options": {"first-question": "asked"},
        "tier": "gold-union",
        "collection_sha256": "a" * 64,
        "passages": 1234,
        "turnset_sha256": "b" * 64,
        "n_conversations": 8,
        "n_turns": 50,
        "n_judged": 40,
        "licence": "CC BY 4.0",
    }
    given = {
        "convbench_version": "0.1.0",
        "run_sha256": "c" * 64,
        "system": {"kind": kind, "name": name, "description": f"What {name} does"},
        "dataset": DatasetResult(**dataset | changes.pop("dataset", {})),
        "conditions": {"history": {"view": "full", "order": "newest-first"}, "rewriter": "none", "evidence": "retrieved", "k": 100},
        "seed": 0,
        "metrics": list(metrics) or [metric(), metric("rougeL", 0.2, "response", parts="stem:yes")],
        "cost": cost(open={"seconds": 0.5}, search={"seconds": 1.0}),
        "truncation": Truncation(n_turns=50, n_truncated=0, share=0.0, by={}),
        "packages": {"convbench": "0.1.0", "numpy": "2.0"},
        "warnings": [],
    }
    return Results(**given | changes)


def only_table(*runs: Results) -> DatasetTable:
    (table,) = dataset_tables(runs)
    return table


def texts(row: Row) -> list[str]:
    return [cell.text for cells in row.cells for cell in cells]


def bold(table: DatasetTable) -> dict[str, list[bool]]:
    return {row.system: [cell.best for cells in row.cells for cell in cells] for row in table.rows}


def markdown_tables(text: str) -> list[list[list[str]]]:
    """Tables as rows of cells, cut at pipes that are not escaped."""
    blocks = re.findall(r"(?:^\|.*\|\n?)+", text, flags=re.MULTILINE)
    return [[re.split(r"(?<!\\)\|", line.strip())[1:-1] for line in block.strip().split("\n")] for block in blocks]


class Page(HTMLParser):
    """Checks that tags nest; collects ids, attributes, and the width of each table row."""

    VOID = frozenset({"meta", "link", "img", "br", "hr", "input"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.widths: list[int] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag == "tr":
            self.widths.append(0)
        if tag in ("td", "th"):
            self.widths[-1] += int(dict(attrs).get("colspan") or 1)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def named(self, attribute: str) -> list[str]:
        return [value for _, name, value in self.attributes if name == attribute]


MIXED = [
    run("oracle", metric(value=1.0), metric("rougeL", 0.9, "response"), kind="oracle", conditions={"history": None, "evidence": "gold"}),
    run(HOSTILE, metric(value=0.3), metric("rougeL", 0.1, "response", n_missing=3), warnings=["one | <b>two</b>"]),
    run("beta", metric(value=0.4, parts="depth:50"), metric("MAP", 0.2), not_computed("bertscore", "no model | <here>"), seed=1),
    run("alpha", dataset={"split": "test"}),
]


def test_hostile_name_is_escaped_in_html() -> None:
    page = render_html(MIXED)
    assert "<script" not in page
    assert "<b>" not in page
    assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; | **my_\nmodel** &amp; `co`" in page


def test_hostile_name_is_escaped_in_markdown() -> None:
    text = render_markdown(MIXED)
    assert not re.search(r"<(?!/?(?:details|summary)>)", text)
    assert r"&lt;script&gt;alert('x')&lt;/script&gt; \| \*\*my\_ model\*\* &amp; \`co\`" in text


def test_markdown_tables_have_equal_column_counts() -> None:
    tables = markdown_tables(render_markdown(MIXED))
    assert [len(table[0]) for table in tables] == [2, 4, 3, 9, 2, 2, 2, 9]
    for table in tables:
        assert {len(row) for row in table} == {len(table[0])}
        assert len({len("|".join(row)) for row in table}) == 1, "raw columns line up"


def test_html_nests_and_its_rows_are_of_one_width() -> None:
    page = Page(render_html(MIXED))
    first = page.widths[: 2 * (1 + 3)]
    assert first == [4, 4, 4, 4, 3, 3, 3, 3], "a table of 3 retrieval columns, then one of 2 response columns, each after the system"
    assert len(page.ids) == len(set(page.ids))
    targets = [value.removeprefix("#") for value in page.named("href")] + page.named("aria-labelledby")
    assert targets
    assert set(targets) <= set(page.ids)


def test_html_needs_nothing_beside_it() -> None:
    text = render_html(MIXED)
    page = Page(text)
    assert all(value.startswith("#") for value in page.named("href"))
    assert not {"script", "link", "img", "iframe"} & {tag for tag, _, _ in page.attributes}
    assert not re.search(r"<script|@import|url\(|https?:", text)
    assert not [name for _, name, _ in page.attributes if name.startswith("on") or name == "src"]


def test_same_input_gives_same_bytes(tmp_path: Path) -> None:
    reread = []
    for number, results in enumerate(MIXED):
        write_results(tmp_path / f"{number}.json", results)
        reread.append(read_results(tmp_path / f"{number}.json"))
    write_report(MIXED, tmp_path / "a.md", tmp_path / "a.html")
    write_report(reread, tmp_path / "b.md", tmp_path / "b.html")
    assert (tmp_path / "a.md").read_bytes() == (tmp_path / "b.md").read_bytes()
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_no_run_is_refused() -> None:
    with pytest.raises(UsageError, match="at least one run"):
        render_markdown([])


def test_differing_signatures_never_share_a_column() -> None:
    table = only_table(
        run("deep", metric(value=0.5), metric("MAP", 0.3)),
        run("shallow", metric(value=0.6, parts="depth:50|strict"), metric("MAP", 0.4)),
    )
    assert [column.label for column in table.groups[0].columns] == ["nDCG@3 #1", "nDCG@3 #2", "MAP"]
    assert {row.system: texts(row) for row in table.rows} == {"deep": ["50.0", "–", "30.0"], "shallow": ["–", "60.0", "40.0"]}
    assert bold(table) == {"deep": [False, False, False], "shallow": [False, False, True]}


def test_split_note_names_the_differing_parts() -> None:
    def measures(parts: str) -> list[MetricResult]:
        return [metric("nDCG@3", parts=parts), metric("MAP", parts=parts), metric("rougeL", 0.1, "response", parts="stem:yes")]

    runs = [run("deep", *measures("depth:100")), run("shallow", *measures("depth:50|strict"))]
    text = render_markdown(runs)
    assert text.count("Signatures differ") == 1
    assert "do not compare: nDCG@3, MAP\n  - #1: `depth:100`\n  - #2: `depth:50|strict`\n" in text
    page = " ".join(render_html(runs).split())
    assert "signatures of nDCG@3, MAP differ" in page
    assert "#1 <code>depth:100</code>; #2 <code>depth:50|strict</code> </dd>" in page


def test_not_computed_carries_its_reason_once() -> None:
    runs = [run(name, metric(), not_computed("bertscore", "no model is here")) for name in ("alpha", "beta")]
    table = only_table(*runs)
    assert [texts(row) for row in table.rows] == [["50.0", "n/c"]] * 2
    assert table.footnotes == ("no model is here",)
    assert "n/c (1)" in render_markdown(runs)
    assert "- (1) no model is here" in render_markdown(runs)
    page = render_html(runs)
    assert page.count('n/c</abbr><sup><a href="#t1-note-1">1</a></sup>') == 2
    assert page.count("no model is here") == 1


def test_family_that_was_not_computed_fills_the_columns_of_its_measures() -> None:
    with_model = run("alpha", metric("bertscore-p", 0.8, "response"), metric("bertscore-f1", 0.7, "response"))
    without = run("beta", not_computed("bertscore", "no model is here"))
    for runs in ([with_model, without], [without, with_model]):
        table = only_table(*runs)
        assert [column.label for column in table.groups[0].columns] == ["bertscore-p", "bertscore-f1"]
        assert {row.system: texts(row) for row in table.rows} == {"alpha": ["80.0", "70.0"], "beta": ["n/c", "n/c"]}


def test_retrieval_comes_before_response() -> None:
    table = only_table(run("alpha", metric("rougeL", 0.2, "response"), metric("R@10", 0.9)))
    assert [(group.name, [column.label for column in group.columns]) for group in table.groups] == [
        ("Retrieval", ["R@10"]),
        ("Response", ["rougeL"]),
    ]


def test_ceiling_floor_and_shortcut_stand_last_and_are_never_bold() -> None:
    table = only_table(
        run("chance", metric(value=0.95), kind="random"),
        run("gold", metric(value=1.0), kind="oracle"),
        run("seen", metric(value=0.9), kind="shortcut"),
        run("weak", metric(value=0.2)),
        run("strong", metric(value=0.3)),
    )
    roles = [("weak", ""), ("strong", ""), ("seen", "shortcut"), ("gold", "ceiling"), ("chance", "floor")]
    assert [(row.system, row.role) for row in table.rows] == roles
    assert bold(table) == {"weak": [False], "strong": [True], "seen": [False], "gold": [False], "chance": [False]}


def test_reference_rows_are_marked_in_both_forms() -> None:
    runs = [run("gold", kind="oracle"), run("alpha"), run("chance", kind="random")]
    assert "*gold* (ceiling)" in render_markdown(runs)
    page = render_html(runs)
    head, _, reference = page.partition('<tbody class="reference">')
    assert "alpha" in head
    assert "<strong>" not in reference.partition("</tbody>")[0]
    assert 'chance <span class="role">floor</span>' in reference


@pytest.mark.parametrize(
    ("values", "higher", "expected"),
    [
        ([0.1, 0.3, 0.2], True, [False, True, False]),
        ([0.1, 0.3, 0.2], False, [True, False, False]),
        ([0.30001, 0.30004, 0.2], True, [True, True, False]),
        ([0.3, 0.3, 0.30001], True, [False, False, False]),
        ([0.3, None, None], True, [False, False, False]),
    ],
)
def test_bold_is_the_best_value_as_shown(values: list[float | None], higher: bool, expected: list[bool]) -> None:
    runs = [run(f"s{i}", metric(value=value, higher_is_better=higher, reason=None)) for i, value in enumerate(values)]
    assert [cells[0] for cells in bold(only_table(*runs)).values()] == expected


def test_values_are_per_cent_with_their_interval() -> None:
    runs = [run("alpha", metric(value=0.35249, ci=(0.33101, 0.37399))), run("beta", metric(value=-0.0001, ci=(-0.02, 0.0)))]
    text = render_markdown(runs)
    assert "**35.2** [33.1, 37.4]" in text
    assert "0.0 [-2.0, 0.0]" in text
    assert "-0.0" not in text
    assert '<strong>35.2</strong><span class="interval">33.1–37.4</span>' in render_html(runs)


def test_missing_turns_and_missing_interval_are_said_beside_the_value() -> None:
    table = only_table(run("alpha", metric(n_missing=4, ci=None)), run("beta"))
    assert table.footnotes == ("4 of 40 turns missing from the run, scored 0", "no interval: it takes two conversations or more")
    assert table.rows[0].cells[0][0].notes == (1, 2)
    assert table.groups[0].missing == ("alpha: 4",)
    assert table.groups[1].missing == ()


def test_turn_sets_name_measures_only_where_they_differ() -> None:
    agreeing = only_table(run("alpha", metric("R@5"), metric("R@10")))
    assert agreeing.groups[0].turn_sets == ("40 turns of 8 conversations (rule: has a gold passage)",)
    differing = only_table(run("alpha", metric("R@5"), metric("R@10", n_turns=1, n_conversations=1)))
    assert differing.groups[0].turn_sets == (
        "40 turns of 8 conversations (rule: has a gold passage): R@5",
        "1 turn of 1 conversation (rule: has a gold passage): R@10",
    )


def test_warnings_are_said_once_and_name_their_systems() -> None:
    table = only_table(run("alpha", warnings=["easy task", "slow"]), run("beta", warnings=["easy task"]))
    assert table.warnings == ("easy task", "alpha: slow")


@pytest.mark.parametrize(
    "other",
    [{"split": "test"}, {"collection_sha256": "c" * 64}, {"turnset_sha256": "c" * 64}, {"options": {"first-question": "rewritten"}}],
)
def test_another_task_is_another_table(other: dict[str, Any]) -> None:
    assert len(dataset_tables([run("alpha"), run("beta", dataset=other)])) == 2


def test_rows_keep_the_order_given() -> None:
    tables = dataset_tables([run("beta"), run("gamma", dataset={"split": "test"}), run("alpha")])
    assert [[row.system for row in table.rows] for table in tables] == [["beta", "alpha"], ["gamma"]]


def test_shared_conditions_are_said_once_and_rows_show_what_differs() -> None:
    human = {"history": {"view": "query", "order": "newest-first"}, "rewriter": "human", "evidence": "retrieved", "k": 100}
    table = only_table(run("alpha"), run("beta", conditions=human), run("gold", kind="oracle", conditions={"evidence": "gold", "k": None}))
    assert table.shared == ("answers from retrieved passages", "depth 100", "seed 0")
    assert [row.conditions for row in table.rows] == [
        ("current query, earlier queries and responses, newest first", "no rewriter"),
        ("current query only", "human rewrite of the query"),
        ("answers from gold passages", "seed 0"),
    ]
    for render in (render_html, render_markdown):
        assert "answers from retrieved passages; depth 100" in render([run("alpha"), run("beta", conditions=human)])


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({"history": {"view": "last-3", "order": "oldest-first"}}, ["current query, last 3 exchanges, oldest first"]),
        ({"history": "unknown", "rewriter": "unknown", "k": None}, ["history: unknown", "rewriter: unknown"]),
        ({"history": {"view": "own", "order": "oldest-first"}}, ["history: own, oldest first"]),
        ({"history": {"depth": 2}, "rewriter": {"type": "t5"}}, ["history: depth: 2", "rewriter: type: t5"]),
        (
            {"passages": 1, "decoding": {"max_new_tokens": 64, "temperature": 0.0, "top_k": 0, "top_p": 1.0}},
            ["at most 1 passage", "greedy, up to 64 tokens"],
        ),
        ({"decoding": {"max_new_tokens": 1, "temperature": 0.7, "top_k": 5}}, ["sampled at temperature 0.7, top k 5, up to 1 token"]),
        ({"evidence": "none", "temperature": 0.5, "live": True}, ["answers without passages", "temperature: 0.5", "live: yes"]),
    ],
)
def test_conditions_in_words(conditions: dict[str, Any], expected: list[str]) -> None:
    assert conditions_in_words(conditions) == expected


def test_facts_of_the_dataset_are_in_both_forms() -> None:
    expected = [
        "1,234 passages; union of the gold passages: no corpus file, so an easier task than the real one",
        "50 turns in 8 conversations, 40 judged",
        "first-question = asked",
        "CC BY 4.0",
        "collection aaaaaaaaaaaa, turns bbbbbbbbbbbb",
    ]
    for text in (render_html([run()]), render_markdown([run()])):
        assert [fact for fact in expected if fact not in text] == []


def test_collection_that_is_not_at_hand() -> None:
    facts = dict(only_table(run(dataset={"tier": "unchecked", "passages": None, "collection_sha256": None})).facts)
    assert facts["Collection"] == "not at hand, so passage ids are unchecked"
    assert facts["Identity"] == "turns bbbbbbbbbbbb"


def test_every_tier_has_its_words() -> None:
    assert set(TIERS) == set(get_args(DatasetResult.model_fields["tier"].annotation))


def test_every_signature_is_listed() -> None:
    for text in (render_html(MIXED), render_markdown(MIXED)):
        assert [m.signature for results in MIXED for m in results.metrics if m.signature not in text] == []


def test_versions_that_differ_name_their_runs() -> None:
    names = ("alpha", "beta", "gamma", "delta", "epsilon")
    runs = [*(run(name) for name in names), run("zeta", packages={"convbench": "0.1.0", "numpy": "2.1"}, seed=7)]
    text = render_markdown(runs)
    assert (
        "convbench 0.1.0, numpy 2.0 (alpha on tinyqa dev, beta on tinyqa dev, gamma on tinyqa dev, 2 more); 2.1 (zeta on tinyqa dev)"
        in text
    )
    assert "7 (zeta on tinyqa dev)" in text


ENCODER = {"mini": 22_713_216}


def costs(*runs: Results, name: str) -> dict[str, str]:
    """The row of one system in the table of costs: full label -> text."""
    table = only_table(*runs)
    labels = [label for group in table.cost_groups for label in group.full_labels]
    row = next(row for row in table.rows if row.system == name)
    return dict(zip(labels, [text for texts in row.costs for text in texts], strict=True))


def test_costs_are_sizes_counts_per_turn_and_times() -> None:
    encode = {"seconds": 2.5, "turns": 50, "tokens_in": 40_000, "forward_passes": 5}
    generate = {"seconds": 60.0, "turns": 50, "tokens_in": 100_000, "tokens_out": 1234, "forward_passes": 1239}
    building = {"seconds": 99.0, "tokens_in": 10**6, "forward_passes": 10**4}
    both = {"models": ENCODER | {"large": 1_235_814_400}, "indexes": {"exact": 3 * 2**20, "approximate": 2**19}}
    phases = {"open": {"seconds": 1.25}, "index": building, "generate": generate, "encode": encode, "search": {"seconds": 0.05}}
    mine = run("mine", cost=cost(**both, **phases))
    assert costs(mine, run(), name="mine") == {
        "parameters (loaded)": "1.26 B",
        "index MiB (loaded)": "3.50",
        "tokens in (per turn)": "2,800.0",
        "tokens out (per turn)": "24.7",
        "forward passes (per turn)": "24.88",
        "all (ms per turn)": "1,251.0",
        "encode (ms per turn)": "50.0",
        "search (ms per turn)": "1.0",
        "generate (ms per turn)": "1,200.0",
        "open (seconds, apart)": "1.2",
        "index (seconds, apart)": "99.0",
    }
    assert costs(mine, run(), name="alpha") == {
        "parameters (loaded)": "0",
        "index MiB (loaded)": "0",
        "tokens in (per turn)": "0",
        "tokens out (per turn)": "0",
        "forward passes (per turn)": "0",
        "all (ms per turn)": "20.0",
        "encode (ms per turn)": "–",
        "search (ms per turn)": "20.0",
        "generate (ms per turn)": "–",
        "open (seconds, apart)": "0.5",
        "index (seconds, apart)": "–",
    }


def test_phases_of_its_own_come_after_those_that_systems_share() -> None:
    phases = {name: {"seconds": 1.0} for name in ("plan", "generate", "encode", "converse")}
    assert [label for label in costs(run(cost=cost(**phases)), name="alpha") if "ms" in label] == [
        "all (ms per turn)",
        "encode (ms per turn)",
        "generate (ms per turn)",
        "plan (ms per turn)",
        "converse (ms per turn)",
    ]


def test_phases_that_take_no_time_have_no_column_but_are_in_the_sum() -> None:
    little = {"seconds": 0.002}
    row = costs(run(cost=cost(open=little, view=little, rewrite=little, search={"seconds": 1.0})), name="alpha")
    assert list(row)[5:] == ["all (ms per turn)", "search (ms per turn)"]
    assert row["all (ms per turn)"] == "20.1"


def test_what_a_replayed_run_cost_is_not_known() -> None:
    runs = [run("mine"), run("theirs", kind="replay", cost=cost(replay={"seconds": 5.0}))]
    assert set(costs(*runs, name="theirs").values()) == {"–"}
    assert "replay (ms per turn)" not in costs(*runs, name="mine")
    for text in (render_html(runs), render_markdown(runs)):
        assert "A replayed run was made elsewhere: its costs are not known." in text
    assert "replayed" not in render_markdown(runs[:1])


def test_costs_are_in_both_forms() -> None:
    runs = [run("mine", cost=cost(models=ENCODER, encode={"seconds": 2.5, "tokens_in": 12345})), run("gold", kind="oracle")]
    text, page = render_markdown(runs), render_html(runs)
    table = next(table for table in markdown_tables(text) if "parameters (loaded)" in table[0][1])
    assert [cell.strip() for cell in table[2]][:4] == ["mine", "22.7 M", "0", "246.9"]
    assert [row[0].strip() for row in table[2:]] == ["mine", "*gold* (ceiling)"]
    assert "<td>246.9</td>" not in page
    assert '<td class="first">246.9</td>' in page
    assert '<td class="first">22.7 M</td>' in page
    for form in (text, page):
        assert "Times measured on" in form
        assert "Abacus 9, 4 threads, Linux" in form


def test_an_approximate_index_says_what_it_finds() -> None:
    approximate = run("quick", cost=cost(search={"seconds": 1.0, "recall_found": 1966, "recall_of": 2000}))
    for text in (render_html([approximate, run()]), render_markdown([approximate, run()])):
        assert "quick: the index is approximate; it finds 98.3 % (1,966 of 2,000) of what exact search finds." in text
    assert "of what exact search finds" not in render_markdown([run()])


def test_truncated_turns_are_warned_of() -> None:
    cut = run("long", truncation=Truncation(n_turns=40, n_truncated=5, share=0.125, by={"history": 5, "query_tokens": 2}))
    said = "12.5 % of turns truncated (history: 5, query tokens: 2)"
    table = only_table(cut, run("short"), run("theirs", truncation=Truncation(n_turns=0, n_truncated=0, share=None, by={})))
    assert table.warnings == (f"long: {said}",)
    for text in (render_html([cut]), render_markdown([cut])):
        assert said in text


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1 K"),
        (22_713_216, "22.7 M"),
        (124_439_808, "124 M"),
        (999_600_000, "1 B"),
        (1_235_814_400, "1.24 B"),
        (70_553_706_496, "70.6 B"),
    ],
)
def test_parameters_have_three_digits(number: int, expected: str) -> None:
    assert magnitude(number) == expected


def test_legend_explains_only_what_is_there() -> None:
    assert "Bold" not in render_html([run()])
    assert "Bold" in render_html([run("alpha"), run("beta", metric(value=0.6))])
    assert "ceiling" not in render_markdown([run()])
    assert "ceiling" in render_markdown([run(kind="oracle")])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("top_k of a_b", "top_k of a_b"),
        ("_x_ *y* ~z~ $m$", r"\_x\_ \*y\* \~z\~ \$m\$"),
        ("[a](b) | `c` \\", r"\[a\](b) \| \`c\` \\"),
        ("a <b> &amp; c", "a &lt;b&gt; &amp;amp; c"),
        ("# no heading", r"\# no heading"),
        ("- no item", r"\- no item"),
        ("12. no list", r"12\. no list"),
        ("2.0 and #1 and -0.5", "2.0 and #1 and -0.5"),
        ("two\n\nlines\t", "two lines"),
    ],
)
def test_markdown_escape(text: str, expected: str) -> None:
    assert escape(text) == expected
    assert escape(escape(text)) == expected, "what is Markdown already is left alone"


def test_code_spans_hold_backticks() -> None:
    assert code("a|b") == "`a|b`"
    assert code("a``b`") == "``` a``b` ```"


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_text_contrast_meets_wcag_aa(theme: int) -> None:
    css = (resources.files("convbench.report") / "templates" / "style.css").read_text(encoding="utf-8")
    colours = [
        dict(re.findall(r"--(\w+): (#[0-9a-f]{3}(?:[0-9a-f]{3})?);", block)) for block in re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    ]
    chosen = colours[theme]
    for text in ("ink", "muted", "link"):
        for ground in ("paper", "soft"):
            assert contrast(chosen[text], chosen[ground]) >= 4.5, (text, ground)


def contrast(one: str, other: str) -> float:
    """WCAG 2's contrast ratio."""
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(digit * 2 for digit in colour[1:])
    channels = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
