"""Slicings: rules that give turns labels, so that systems are compared on the turns of each label."""

from convbench.registry import Registry

_BUILTINS = {
    "depth": "convbench.analysis.slices.position:Depth",
    "history-length": "convbench.analysis.slices.position:HistoryLength",
    "topic": "convbench.analysis.slices.topic:TopicChange",
    "gold-seen": "convbench.analysis.slices.gold:GoldSeen",
    "rewrite-distance": "convbench.analysis.slices.rewrites:RewriteDistance",
    "anaphora": "convbench.analysis.slices.rewrites:Anaphora",
    "ellipsis": "convbench.analysis.slices.rewrites:Ellipsis",
    "answerable": "convbench.analysis.slices.labels:Answerable",
    "response-type": "convbench.analysis.slices.labels:ResponseType",
    "source": "convbench.analysis.slices.labels:Source",
    "dialogue-act": "convbench.analysis.slices.labels:DialogueAct",
    "begin": "convbench.analysis.slices.labels:Begin",
    "truncated": "convbench.analysis.slices.truncated:Truncated",
}

SLICES = Registry("slicing", _BUILTINS, group="convbench.slices")
"""Every slicing by name: classes that are made without arguments."""


def slicing_names() -> list[str]:
    """All registered names: the built-in ones in the order in which reports show them, then those of other packages."""
    return [*_BUILTINS, *(name for name in SLICES.names() if name not in _BUILTINS)]
