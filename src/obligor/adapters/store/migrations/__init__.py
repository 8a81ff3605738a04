"""The steps from one shape of the store to the next. Each only adds, so that old and new code run side by side.

A column or table that nothing uses any more is taken away by a later release than the one that stopped using it. Revisions are
numbers in four digits: the code compares them without loading Alembic.
"""
