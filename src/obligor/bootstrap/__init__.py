"""Builds things from settings and hands them down: the only place that knows every adapter."""

from obligor.bootstrap.cards import (
    card_as_python,
    card_as_sql,
    check_contract,
    draft_contract,
    edit_bins,
    explain_decision,
    load_card,
    load_edits,
    open_source,
    run_demo,
    run_tape,
    score_frame,
    score_tape,
    show_bins,
    simulate_tape,
)

__all__ = [
    "card_as_python",
    "card_as_sql",
    "check_contract",
    "draft_contract",
    "edit_bins",
    "explain_decision",
    "load_card",
    "load_edits",
    "open_source",
    "run_demo",
    "run_tape",
    "score_frame",
    "score_tape",
    "show_bins",
    "simulate_tape",
]
