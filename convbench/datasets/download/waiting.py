"""How long to wait before asking again."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime


@dataclass(frozen=True, slots=True)
class Patience:
    """How faults of the network and of servers are borne.

    Attributes:
        attempts: So many in a row that bring nothing new are the last.
        first: Seconds before the second attempt; each further wait is twice as long, and shortened by chance by up to a half, so that many
            machines do not come back at once.
        longest: The longest such wait.
        asked: The longest wait that a server may ask for (``Retry-After``).
        connect: Seconds to wait for a connection.
        read: Seconds to wait for the head of an answer as a whole, and for each further piece.
        slowest: Bytes a second; a server that gives less, over ``read`` seconds, counts as one that hangs.
        sleep: Waits.
    """

    attempts: int = 5
    first: float = 1.0
    longest: float = 60.0
    asked: float = 300.0
    connect: float = 20.0
    read: float = 60.0
    slowest: int = 1000
    sleep: Callable[[float], None] = time.sleep

    def wait(self, failures: int, asked: float | None) -> None:
        """Waits after so many failures in a row, as long as the server asked for or longer."""
        backoff = min(self.longest, self.first * 2 ** (failures - 1)) * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
        self.sleep(max(backoff, asked or 0.0))


def retry_after(header: str | None) -> float | None:
    """Seconds that ``Retry-After`` asks for, which holds seconds or a date; None where it says nothing that can be read."""
    if header is None:
        return None
    if header.strip().isdecimal():
        return float(header)
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return max(0.0, (moment - datetime.now(timezone.utc)).total_seconds())
