"""Figures and the self-contained HTML report."""

from superalign.report.kinds import render, summary, write_report

__all__ = ["render", "summary", "write_report"]
