"""Sources, raw snapshots kept by the hash of their content, contract files, the simulated lender."""
