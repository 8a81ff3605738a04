"""Object stores, databases and trackers, each behind a small protocol of those who need it."""
