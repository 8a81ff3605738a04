"""The decision service, its doors, and scoring outside of it, all with a finished card; nothing here fits."""
