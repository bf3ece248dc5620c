"""Measures of retrieval and of responses, each with a signature."""

from convbench.registry import Registry

METRICS = Registry(
    "metric",
    {
        "retrieval": "convbench.metrics.retrieval:RetrievalMetric",
        "rouge": "convbench.metrics.rouge:RougeMetric",
        "token-f1": "convbench.metrics.token_f1:TokenF1Metric",
        "bertscore": "convbench.metrics.bertscore:BertScoreMetric",
    },
    group="convbench.metrics",
)
"""Every metric family by name; each family computes several measures in one pass."""
