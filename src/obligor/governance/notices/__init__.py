"""Notices to applicants: why they were declined, and of a credit score what made it low. Two lists, never one."""
