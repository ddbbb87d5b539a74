"""Benchmarks that compare the package with a peer and with the machine's limits; see `python -m tools.bench --help`."""
