"""Dataset adapters: official files in, conversations, relevance judgements and collections out."""

from convbench.registry import Registry

DATASETS = Registry(
    "dataset",
    {
        "topiocqa": "convbench.datasets.topiocqa:TopiOCQA",
        "qrecc": "convbench.datasets.qrecc:QReCC",
        "orquac": "convbench.datasets.orquac:ORQuAC",
        "inscit": "convbench.datasets.inscit:INSCIT",
        "faithdial": "convbench.datasets.faithdial:FaithDial",
        "cast": "convbench.datasets.cast:CAsT",
        "generic": "convbench.datasets.generic:Generic",
    },
    group="convbench.datasets",
)
"""Every adapter class by the dataset's name."""
