"""The audit log, held against itself and against what was kept elsewhere; receipts and bundles for those outside."""
