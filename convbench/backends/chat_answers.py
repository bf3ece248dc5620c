"""What a chat server answered: read from what it sent, and kept in a folder, so that nothing is paid for twice."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path
from typing import Any

from convbench.config import Config
from convbench.errors import ResourceError
from convbench.io.atomic import write_text
from convbench.io.sealed import SEAL, BrokenSealError, sealed, unsealed

_log = logging.getLogger(__name__)


class ChatAnswer(Config):
    """What came back.

    Attributes:
        text: The answer; empty where the model said nothing.
        finish_reason: The server's: ``stop``, ``length``, ``content_filter`` ...
        tokens_in: Tokens of the request, as the server counts them; 0 where it does not say.
        tokens_out: Tokens of the answer.
        log_probability: Sum of the logarithms of its tokens' probabilities; None where they were not asked for or did not come.
        failure: Why the server took no such text (too long, filtered); such an answer is not kept.
    """

    text: str = ""
    finish_reason: str = ""
    tokens_in: int = 0
    tokens_out: int = 0
    log_probability: float | None = None
    failure: str | None = None


class AnswerFolder:
    """Answers by the digest of what was asked, a file each.

    Args:
        path: The folder; it need not be there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def keep(self, key: str, answer: ChatAnswer) -> None:
        """Writes an answer, whole or not at all.

        Raises:
            StorageError: It cannot be written.
        """
        write_text(self._file(key), json.dumps(sealed(answer.model_dump(exclude_none=True)), ensure_ascii=False) + "\n")

    def kept(self, key: str) -> ChatAnswer | None:
        """An answer from before; None where there is none, or one that is damaged or of another version: it is asked for again."""
        path = self._file(key)
        try:
            values = json.loads(path.read_bytes())
            # Answers of versions that knew no digest were paid for, and stay.
            return ChatAnswer.model_validate(unsealed(values) if isinstance(values, dict) and SEAL in values else values)
        except BrokenSealError:
            _log.warning("%s: a damaged answer: asked for again", path)
        except (OSError, ValueError):
            pass
        return None

    def _file(self, key: str) -> Path:
        return self._path / key[:2] / f"{key}.json"


def read_completion(completion: Any, host: str) -> ChatAnswer:
    """The answer in a completion; the client passes on whatever a server sends, checked by nobody.

    Args:
        completion: What came.
        host: The server, for the error.

    Raises:
        ResourceError: It is no chat completion.
    """
    try:
        choice, usage = completion.choices[0], completion.usage
        return ChatAnswer(
            text=(choice.message.content or "").encode(errors="replace").decode(),  # JSON can hold half a character
            finish_reason=choice.finish_reason or "",
            tokens_in=(usage and usage.prompt_tokens) or 0,
            tokens_out=(usage and usage.completion_tokens) or 0,
            log_probability=_log_probability(choice),
        )
    except (AttributeError, LookupError, TypeError, ValueError):
        raise no_completion(host) from None


def no_completion(host: str) -> ResourceError:
    """The error where a server talks of something else."""
    return ResourceError(f"{host}: what it sends is no chat completion; is base_url right? It usually ends with /v1")


def _log_probability(choice: Any) -> float | None:
    """Sum over the tokens; None where the server sent none, or something that is no probability: the text is an answer all the same."""
    tokens = getattr(getattr(choice, "logprobs", None), "content", None)
    if not tokens:
        return None
    try:
        total = math.fsum(float(token.logprob) for token in tokens)
    except (AttributeError, TypeError, ValueError, OverflowError):
        return None
    return total if math.isfinite(total) else None
