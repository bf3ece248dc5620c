"""An end to answers that drip: each piece comes in time, and the whole never would."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterator
from typing import Any


def in_time(seconds: float) -> Callable[[Any], None]:
    """A hook on responses: from its head on, an answer may take so long in all. One that takes longer is a ``ReadTimeout``.

    The package openai works with httpx or, in later versions, with httpx2; stream and error are of the package that the response is of.
    """

    def hook(response: Any) -> None:
        package = importlib.import_module(type(response).__module__.partition(".")[0])
        stream = response.stream

        class Timed(package.SyncByteStream):  # type: ignore[misc, name-defined] # known only now
            def __iter__(self) -> Iterator[bytes]:
                end = time.monotonic() + seconds
                for block in stream:
                    if time.monotonic() > end:
                        raise package.ReadTimeout(f"the answer is not whole after {seconds:g} s", request=response.request)
                    yield block

            def close(self) -> None:
                stream.close()

        response.stream = Timed()

    return hook
