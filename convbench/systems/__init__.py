"""Systems: what is benchmarked. A system is an ordered list of stages that the harness runs, resumes and joins."""

from convbench.registry import Registry

SYSTEMS = Registry(
    "kind of system",
    {
        "two-stage": "convbench.systems.two_stage:TwoStageConfig",
        "unified": "convbench.systems.unified:UnifiedConfig",
        "oracle": "convbench.systems.oracle:OracleConfig",
        "random": "convbench.systems.random:RandomConfig",
        "replay": "convbench.systems.replay:ReplayConfig",
    },
    group="convbench.systems",
)
"""Configuration class of every kind of system (the ``kind`` key of ``system.yaml``)."""
