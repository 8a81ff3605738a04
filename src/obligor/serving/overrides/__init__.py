"""Overrides: a person decides in place of the policy, within the authority that it delegates to them."""
