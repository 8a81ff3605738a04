"""People: who may come in, what each may do, and what takes two of them."""
