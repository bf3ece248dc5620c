"""Measures of retrieval and of responses, each with a signature, and the named protocols that they are computed under."""

from convbench.registry import Registry

METRICS = Registry(
    "metric",
    {
        "retrieval": "convbench.metrics.retrieval:RetrievalMetric",
        "text-hits": "convbench.metrics.text_hits:TextHitsMetric",
        "span-relevance": "convbench.metrics.span_relevance:SpanRelevanceMetric",
        "rouge": "convbench.metrics.rouge:RougeMetric",
        "token-f1": "convbench.metrics.token_f1:TokenF1Metric",
        "bertscore": "convbench.metrics.bertscore:BertScoreMetric",
        "bleu": "convbench.metrics.bleu:BleuMetric",
        "heq": "convbench.metrics.heq:HeqMetric",
        "knowledge": "convbench.metrics.knowledge:KnowledgeMetric",
        "evidence": "convbench.metrics.evidence:EvidenceMetric",
        "abstention": "convbench.metrics.abstention:AbstentionMetric",
        "form": "convbench.metrics.form:FormMetric",
        "entailment": "convbench.metrics.entailment:EntailmentMetric",
        "judge": "convbench.metrics.judge:JudgeMetric",
    },
    group="convbench.metrics",
)
"""Every metric family by name; each family computes several measures in one pass."""
