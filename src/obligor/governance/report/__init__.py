"""The report: one page that opens offline, with the verdict in words first."""

from obligor.governance.report.page import render_report

__all__ = ["render_report"]
