"""From a snapshot to rows with outcome, sample and features, as tables of one working database."""
