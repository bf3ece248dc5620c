"""Writing a study's report: ``study.json``, ``study.md`` and ``figures/``."""

from __future__ import annotations

import json
from pathlib import Path

from convbench.io.atomic import write_text
from convbench.training.study.as_json import study_json
from convbench.training.study.figures import pictures_of, save_study_pictures
from convbench.training.study.markdown import render_study
from convbench.training.study.report import StudyReport


def write_study(report: StudyReport) -> Path:
    """Writes the report into the study's folder.

    Returns:
        ``study.md``.

    Raises:
        StorageError: The disk is full or the folder cannot be written to.
    """
    pictures = pictures_of(report)
    save_study_pictures(pictures, report.out / "figures")
    write_text(report.out / "study.json", json.dumps(study_json(report), indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    path = report.out / "study.md"
    write_text(path, render_study(report, pictures))
    return path
