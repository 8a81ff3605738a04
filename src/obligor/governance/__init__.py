"""What people read, and what is kept of a run: report, model card, tracking."""
