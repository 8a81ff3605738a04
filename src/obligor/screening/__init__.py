"""Screens applicants against a list of names: sanctions, as OFAC publishes them."""
