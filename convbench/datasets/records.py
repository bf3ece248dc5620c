"""Kept for a moment: moved to convbench.io.records."""

from convbench.io.records import *  # noqa: F403
from convbench.io.records import Record, read_lines_or_list, read_list  # noqa: F401
