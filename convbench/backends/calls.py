"""Calls into transformers and peft: without their bars and warnings, and with one line for whatever they raise over bad files."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from convbench.errors import ConvbenchError, ResourceError

_LONGEST_REASON = 300


@contextmanager
def calling_transformers(failure: str) -> Iterator[None]:
    """Quiet, and restored afterwards.

    Args:
        failure: What could not be done, where it raises.

    Raises:
        ResourceError: Any exception of theirs; over a bad file they raise nearly every kind.
    """
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except ConvbenchError:
        raise
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ResourceError(f"{failure}: {reason[:_LONGEST_REASON]}") from error
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
