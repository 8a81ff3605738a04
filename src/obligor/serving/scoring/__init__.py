"""Scoring outside the decision service: a tape, the frames of another engine, one application, a card as a file of its own."""
