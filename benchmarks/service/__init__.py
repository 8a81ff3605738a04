"""The parts of the benchmarks of the decision service: a lender, a database, servers, and what loads them."""
