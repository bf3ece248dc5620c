"""How everything was computed, written from signatures and settings: ready for the appendix of a paper."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from convbench.comparison.model import Comparison, Settings, TaskComparison
from convbench.comparison.slice_tables import INTERVAL_RESAMPLES
from convbench.comparison.task import Yardstick
from convbench.errors import UsageError
from convbench.metrics.protocol import load_protocol
from convbench.report.appendix import appendix_of
from convbench.report.comparison.phrases import listed
from convbench.report.comparison.results_tables import heading
from convbench.report.comparison.signature_words import signature_in_words
from convbench.report.numbers import level_in_words, per_cent
from convbench.report.words import counted, tier_in_words

SIGNATURES = "Signatures"
"""Heading of the verbatim signatures, a paragraph each."""


def methods_of(comparison: Comparison) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """(heading, paragraphs) of method notes; the same comparison gives the same text."""
    tasks, settings = comparison.tasks, comparison.settings
    parts = (
        ("Data and turns", _data(tasks)),
        ("Protocols", _protocols(tasks)),
        ("Measures", _measures(tasks)),
        ("Statistics", _statistics(tasks, settings)),
        ("Slices", _slices(tasks, settings)),
        ("Retrieval and responses together", _consistency(tasks)),
        ("Versions", _versions(tasks)),
        (SIGNATURES, _signatures(tasks)),
    )
    return tuple((title, tuple(paragraphs)) for title, paragraphs in parts if paragraphs)


def _data(tasks: Sequence[TaskComparison]) -> list[str]:
    paragraphs = []
    for compared in tasks:
        dataset = compared.task.entrants[0].run.results.dataset
        options = ", ".join(f"{name} = {value}" for name, value in sorted(dataset.options.items()))
        tier = tier_in_words(dataset)
        passages = f"{counted(dataset.passages, 'passage')} ({tier})" if dataset.passages is not None else tier
        paragraphs.append(
            f"{compared.task.title}: {counted(dataset.n_turns, 'turn')} in {counted(dataset.n_conversations, 'conversation')}, "
            f"{dataset.n_judged:,} of them judged; passages: {passages}; reading options: {options or 'none'}. Every system is averaged "
            f"over the same turns, chosen from the data alone by a rule: {_turn_sets(compared)}."
        )
    return paragraphs


def _turn_sets(compared: TaskComparison) -> str:
    rules: dict[str, list[str]] = {}
    for measured in compared.measured:
        rules.setdefault(measured.measure.turn_set, []).append(heading(measured.measure))
    return "; ".join(f"{rule} (for {listed(names)})" for rule, names in rules.items())


def _protocols(tasks: Sequence[TaskComparison]) -> list[str]:
    names = dict.fromkeys(measured.measure.protocol for compared in tasks for measured in compared.measured if measured.measure.protocol)
    return [_protocol(name) for name in names]


def _protocol(name: str) -> str:
    try:
        protocol = load_protocol(name)
    except UsageError:
        return f"{name}: a protocol of the user's own."
    return f"{name}: {protocol.title}. {protocol.description}"


def _measures(tasks: Sequence[TaskComparison]) -> list[str]:
    """One paragraph for measures that are computed alike, the declared ones named as such."""
    groups: dict[tuple[str, str, str], dict[str, None]] = {}
    declared: dict[str, None] = {}
    for measure in _yardsticks(tasks):
        direction = "higher is better" if measure.higher_is_better else "lower is better"
        direction = direction if measure.ranks else "only describes, no order"
        groups.setdefault((measure.protocol, direction, signature_in_words(measure.signature)), {})[measure.name] = None
        if measure.declared:
            declared[measure.label] = None
    paragraphs = [f"Declared, their tests corrected together: {', '.join(declared)}."] if declared else []
    for (protocol, direction, words), names in groups.items():
        paragraphs.append(f"{', '.join(names)}{f' ({protocol})' if protocol else ''}: {words}; {direction}.")
    return paragraphs


def _statistics(tasks: Sequence[TaskComparison], settings: Settings) -> list[str]:
    plan, alpha = settings.resampling, level_in_words(settings.alpha)
    resamples = f"{plan.resamples:,}"
    level = level_in_words(plan.level)
    paragraphs = [
        "Turns of one conversation are not independent, so whole conversations are resampled. The estimator is the mean over turns: the "
        "sum of the turns' values over their number, in every resample.",
        f"Intervals have a coverage of {level}, from {resamples} bootstrap resamples (seed {plan.seed}): percentile intervals, and for "
        "differences also bias-corrected and accelerated ones (BCa; Efron 1987). Measures computed over all turns at once keep the "
        "interval of their run.",
        f"Tests are two-sided and paired: a randomisation that swaps the two systems' values in whole conversations, {resamples} times "
        f"(seed {plan.seed}), p = (b + 1) / (B + 1) (Phipson and Smyth 2010). Where there are no more than {resamples} ways to swap, each "
        "is taken once, and p is exact.",
        "Minimum detectable difference: (z of the level + z of the power) × standard error, the power being 80 %, before correction. It "
        "says what one test would have found; it is not a bound on the true difference. Effect size: the mean of the turns' differences "
        "over their standard deviation. ICC: intra-conversation correlation of the differences.",
    ]
    for compared in tasks:
        family = compared.family
        if family.tests:
            against = f"each against {compared.baseline}" if compared.baseline is not None else "each with each"
            paragraphs.append(
                f"{compared.task.title}: the declared family is {counted(family.tests, 'test')}: "
                f"{counted(len(family.measures), 'measure')} ({', '.join(family.measures)}) × {counted(len(family.pairs), 'pair')} "
                f"({against}). Two systems are told apart where p after Holm's correction over that family is at most {alpha}."
            )
    if any(compared.tiers for compared in tasks):
        paragraphs.append(
            "Tiers: the order of systems on two collections of one dataset is compared by Kendall's tau-b (Kendall 1945), over systems "
            "with the same settings on both, by their means over turns. Its interval resamples conversations, the same ones on both."
        )
    paragraphs.append(
        "Letters: two systems share a letter where they are not told apart (compact letter display; Piepho 2004), after Holm over all "
        "pairs of those that compete and all declared measures; measures that were not declared are corrected one by one. Ceilings, "
        "floors, shortcuts and runs that were shown other evidence than they retrieved do not compete."
    )
    return paragraphs


def _slices(tasks: Sequence[TaskComparison], settings: Settings) -> list[str]:
    tables = {table.name: table for compared in tasks for table in compared.slices}
    if not tables:
        return []
    rules = [f"{table.title}: {table.description}" for table in tables.values()]
    return [
        f"Slices are exploratory. Those with fewer than {counted(settings.floor_turns, 'turn')} or "
        f"{counted(settings.floor_conversations, 'conversation')} are not tested; all other tests of a task are "
        f"corrected together by Benjamini-Hochberg, at {level_in_words(settings.alpha)}, apart from the declared family. "
        f"Intervals of slices take {min(settings.resampling.resamples, INTERVAL_RESAMPLES):,} resamples.",
        *rules,
    ]


def _consistency(tasks: Sequence[TaskComparison]) -> list[str]:
    paragraphs: dict[str, list[str]] = {}
    for compared in tasks:
        found = compared.consistency
        if found.response_measure is None:
            continue
        response = heading(compared.task.measure(found.response_measure))
        retrieval = heading(compared.task.measure(found.retrieval_measure)) if found.retrieval_measure else "none"
        paragraphs.setdefault(
            f"Retrieval is measured by {retrieval}, response quality by {response}. A hit is a turn with a gold passage among the first "
            f"{found.hit_depth}; a response is good from {per_cent(found.good)} % of {response} on. Used hit: gold found, good response; "
            "unused hit: found, not good; lucky miss: not found, good; honest miss: neither. Joint score: the mean of the response value × "
            "[hit], as in KILT.",
            [],
        ).append(compared.task.title)
    return [text if len(paragraphs) == 1 else f"{listed(titles)}: {text}" for text, titles in paragraphs.items()]


def _versions(tasks: Sequence[TaskComparison]) -> list[str]:
    versions = appendix_of([entrant.run.results for compared in tasks for entrant in compared.task.entrants]).versions
    return [f"Runs were made and scored with {', '.join(f'{name} {version}' for name, version in versions)}."]


def _signatures(tasks: Sequence[TaskComparison]) -> list[str]:
    return list(dict.fromkeys(measure.signature for measure in _yardsticks(tasks)))


def _yardsticks(tasks: Sequence[TaskComparison]) -> Iterable[Yardstick]:
    return (measured.measure for compared in tasks for measured in compared.measured)
