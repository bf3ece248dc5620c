from __future__ import annotations

from typing import Any

import pytest
from click.testing import CliRunner

from convbench.cli.main import cli
from convbench.errors import ResourceError, UsageError
from convbench.retrieval.engines.cluster.flight import Flight, Task, Worker
from convbench.retrieval.engines.cluster.record import Tally
from convbench.retrieval.engines.cluster.round import Round
from convbench.retrieval.engines.cluster.settings import Patience
from convbench.retrieval.engines.cluster.workers import Hello


class Nothing:
    def submit(self, handle: Any, task: Task) -> Any:
        return handle

    def take(self, task: Task, result: Any) -> str | None:
        return None

    def drop(self, result: Any) -> None:
        pass


def round_of(count: int, patience: Patience) -> tuple[Round, list[Task], Tally]:
    tasks, tally = [Task(f"shard {number}", number) for number in range(count)], Tally()
    return Round(tasks, Nothing(), tally, patience), tasks, tally


def test_when_something_takes_too_long() -> None:
    given, tasks, tally = round_of(4, Patience())
    assert (given.slow_seconds, given.hung_seconds, given.pace) == (1800, 7200, "nothing is done yet")
    for task, seconds in zip(tasks, [1.0, 2.0, 500.0, 600.0], strict=True):
        given.done(task, seconds)
        if task.number == 2:
            assert (given.slow_seconds, given.hung_seconds, given.pace) == (30, 1800, "the median is 2.0 s")
    assert (given.slow_seconds, given.hung_seconds) == (3 * 251, 10 * 251)
    assert not given.left
    assert tally.done == 4


def test_a_limit_of_the_users_is_one_whatever_others_take() -> None:
    given, tasks, _ = round_of(2, Patience().with_hung_after(90))
    assert given.hung_seconds == 90
    given.done(tasks[0], 5000)
    assert given.hung_seconds == 90
    assert Patience().with_hung_after(None) == Patience()


def test_a_piece_that_waited_behind_another_was_not_tried() -> None:
    given, tasks, tally = round_of(2, Patience())
    given.queue.clear()
    worker = Worker(0, None, Hello("n", "10.0.0.1", 7))
    for _ in range(5):
        given.again(Flight(tasks[1], given.work, worker), "lost")
    for _ in range(2):
        given.again(Flight(tasks[0], given.work, worker, began=1.0), "lost")
    assert tally.redone == 2
    with pytest.raises(ResourceError, match=r"^shard 0: given up after 3 tries, the last one on node 10\.0\.0\.1 \(hung\); is there"):
        given.again(Flight(tasks[0], given.work, worker, began=1.0), "hung")


def test_the_limit_is_for_a_cluster() -> None:
    with pytest.raises(UsageError, match="--hung-after is for --engine ray, found --engine local"):
        CliRunner().invoke(
            cli, ["run", "bm25-query", "-d", "topiocqa", "--hung-after", "60"], catch_exceptions=False, standalone_mode=False
        )
