from __future__ import annotations

import socket
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from torch import distributed

from convbench.errors import ResourceError
from convbench.training.lost_processes import telling_of_lost_processes

TWO: Any = SimpleNamespace(num_processes=2)
ONE: Any = SimpleNamespace(num_processes=1)


def meet_nobody() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        distributed.TCPStore("127.0.0.1", probe.getsockname()[1], is_master=False, timeout=timedelta(seconds=1))


def test_what_torch_said_is_in_the_line() -> None:
    with pytest.raises(ResourceError) as caught, telling_of_lost_processes(TWO):
        meet_nobody()
    said = str(caught.value)
    assert said.startswith("another of the 2 processes of this training has ended or cannot be reached")
    assert "(torch: " in said
    assert "127.0.0.1" in said.split("(torch: ")[1]
    assert "\\n" not in said


@pytest.mark.parametrize("error", [RuntimeError("[pair.cc] Connection closed by peer\n#0 0x7f"), RuntimeError("gloo " + "x" * 999)])
def test_stacks_and_long_messages_are_cut(error: RuntimeError) -> None:
    with pytest.raises(ResourceError) as caught, telling_of_lost_processes(TWO):
        raise error
    assert "#0" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_other_errors_and_those_of_one_process_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match="index out of range"), telling_of_lost_processes(TWO):
        raise RuntimeError("index out of range")
    with pytest.raises(distributed.DistError), telling_of_lost_processes(ONE):
        meet_nobody()
