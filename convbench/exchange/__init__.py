"""Other tools' files in, other tools' files out: runs, relevance judgements and datasets in the formats of the field."""

from convbench.registry import Registry

FORMATS = Registry(
    "format",
    {
        "trec": "convbench.exchange.trec:FORMAT",
        "ranx": "convbench.exchange.ranx:FORMAT",
        "scai-qrecc": "convbench.exchange.scai:FORMAT",
        "ikat": "convbench.exchange.ikat:FORMAT",
        "mtrag": "convbench.exchange.mtrag:FORMAT",
        "responses": "convbench.exchange.responses:FORMAT",
        "qrels": "convbench.exchange.qrels:FORMAT",
        "beir": "convbench.exchange.beir:FORMAT",
        "mteb": "convbench.exchange.mteb:FORMAT",
    },
)
"""Every format by the name that ``convbench import`` and ``convbench export`` know it by."""
