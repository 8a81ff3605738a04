"""Screening on and on: the list in force, the alerts that it opens, and what people say of them."""
