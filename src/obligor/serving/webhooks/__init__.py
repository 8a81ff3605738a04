"""Webhooks: the endpoints of clients, the events that are told to them, and how each event gets there."""
