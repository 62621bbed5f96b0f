"""Figures and the self-contained HTML report."""

from superalign.report.page import render, write_report
from superalign.report.text import summary

__all__ = ["render", "summary", "write_report"]
