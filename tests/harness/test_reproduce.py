from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from convbench.errors import MissingFileError, UsageError
from convbench.harness.expected import Expected, named_set, named_sets, promised, read_expected
from convbench.harness.reproduce import Bench, SetVerdict, Verdict, judge, reproduce
from convbench.harness.results import Results

SET = "orquac-mini"


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    folder = tmp_path_factory.mktemp("bench")
    return Bench(folder / "runs", folder / "cache", offline=True)


@pytest.fixture(scope="module")
def results(bench: Bench) -> Results:
    return bench.measure(bench.system("random"), SET)


def judged(results: Results, *, packages: dict[str, str] | None = None, **changes: Any) -> SetVerdict:
    promise = promised(results).model_copy(update=changes)
    expected = Expected(baseline="random", packages=results.packages if packages is None else packages, scores={SET: promise})
    return judge(expected, SET, promise, results)


def shifted(results: Results, name: str, by: float) -> dict[str, Any]:
    metrics = promised(results).metrics
    value = metrics[name]
    assert value is not None
    return {"metrics": {**metrics, name: value + by}}


def half_width(results: Results, name: str) -> float:
    (ci,) = (metric.ci for metric in results.metrics if metric.name == name)
    assert ci is not None
    return (ci[1] - ci[0]) / 2


def test_the_promise_of_a_run_is_kept_by_it(results: Results) -> None:
    verdict = judged(results)
    assert (verdict.verdict, verdict.reason) == (Verdict.OK, "")
    assert [each.difference for each in verdict.measures] == [0.0] * len(verdict.measures)


def test_a_promise_has_the_form_of_the_files(results: Results) -> None:
    expected = read_expected("random")
    assert expected is not None
    promise, kept = promised(results), expected.scores[SET]
    assert promise.metrics == pytest.approx(kept.metrics)
    assert promise.model_copy(update={"metrics": kept.metrics}) == kept


def test_within_the_tolerance(results: Results) -> None:
    assert judged(results, **shifted(results, "nDCG@3", 0.0049)).verdict is Verdict.OK


@pytest.mark.parametrize(("share", "verdict"), [(0.9, Verdict.NOISE), (1.1, Verdict.FAIL)])
def test_beyond_it_half_the_width_of_the_interval_decides(results: Results, share: float, verdict: Verdict) -> None:
    width = half_width(results, "R@20")
    assert width > 0.01
    found = judged(results, **shifted(results, "R@20", share * width))
    assert found.verdict is verdict
    (moved,) = (each for each in found.measures if each.verdict is not Verdict.OK)
    assert (moved.name, moved.half_width, moved.difference) == ("R@20", width, pytest.approx(-share * width))
    assert found.reason.startswith("package versions are the same")


def test_other_packages_are_named_and_excuse_nothing(results: Results) -> None:
    packages = {**results.packages, "bm25s": "0.0.1"}
    found = judged(results, packages=packages, **shifted(results, "R@20", 0.9))
    assert (found.verdict, found.reason) == (
        Verdict.FAIL,
        f"other package versions: bm25s {results.packages['bm25s']} (promised with 0.0.1)",
    )
    assert judged(results, packages=packages).reason == ""


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"turnset_sha256": "0" * 64}, "another turn set: found "),
        ({"collection_sha256": "0" * 64}, "another collection: found "),
        ({"collection_sha256": None}, "expected none with "),
    ],
)
def test_another_input_fails_with_its_reason(results: Results, changes: dict[str, Any], said: str) -> None:
    found = judged(results, **changes)
    assert (found.verdict, found.measures) == (Verdict.FAIL, ())
    assert said in found.reason


def test_another_signature_fails_but_for_package_versions(results: Results) -> None:
    signatures = promised(results).signatures
    other = judged(results, signatures={**signatures, "nDCG@3": signatures["nDCG@3"].replace("rel:1", "rel:2")})
    (failed,) = (each for each in other.measures if each.verdict is Verdict.FAIL)
    assert (failed.name, failed.reason) == ("nDCG@3", "another measure: rel is 2 against 1")
    newer = {name: signature.replace("ir-measures:", "ir-measures:9.") for name, signature in signatures.items()}
    assert judged(results, signatures=newer).verdict is Verdict.OK


def test_a_measure_that_was_not_measured_fails(results: Results) -> None:
    metrics, signatures = promised(results).metrics, promised(results).signatures
    found = judged(results, metrics={**metrics, "nDCG@5": 0.1}, signatures={**signatures, "nDCG@5": "nDCG@5"})
    assert [(each.name, each.reason) for each in found.measures if each.verdict is Verdict.FAIL] == [("nDCG@5", "not measured")]


def test_what_cannot_be_had_is_skipped(bench: Bench, tmp_path: Path) -> None:
    (without,) = reproduce("random", bench, ("topiocqa-sample",))
    assert (without.verdict, "--real-data" in without.reason) == (Verdict.SKIPPED, True)
    (empty,) = reproduce("random", replace(bench, real_data=tmp_path), ("inscit-sample",))
    assert empty.verdict is Verdict.SKIPPED
    assert empty.reason.endswith("inscit: no such file or folder; is it a folder of the samples?")
    (unpromised,) = reproduce("unified-paper", bench)
    assert (unpromised.verdict, unpromised.set_name) == (Verdict.SKIPPED, "")


def test_a_run_that_breaks_is_a_failure(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "inscit").mkdir()
    (found,) = reproduce("random", replace(bench, real_data=tmp_path), ("inscit-sample",))
    assert found.verdict is Verdict.FAIL
    assert "no file for " in found.reason


def test_sets() -> None:
    assert named_sets()["topiocqa-mini"].bundled
    with pytest.raises(UsageError, match=r"unknown set 'topiocqa-mni'\. Did you mean 'topiocqa-mini'\?"):
        named_set("topiocqa-mni")
    with pytest.raises(MissingFileError):
        named_set("topiocqa-sample").spec(None)


def test_the_worst_verdict_is_that_of_the_set() -> None:
    assert max(Verdict.OK, Verdict.NOISE, Verdict.SKIPPED) is Verdict.NOISE
    assert max(Verdict.FAIL, Verdict.NOISE) is Verdict.FAIL
