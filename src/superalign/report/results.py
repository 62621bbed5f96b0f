"""The results that a report can show."""

from __future__ import annotations

from superalign.result import StudyResult

Shown = StudyResult
