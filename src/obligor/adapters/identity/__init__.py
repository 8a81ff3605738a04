"""The identity provider, over HTTP."""
