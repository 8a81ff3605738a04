"""Releases: the card, the policy and the profile in force together, and how each comes to be."""
