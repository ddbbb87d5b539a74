"""Measures what a user waits for, beside a peer and the machine's limits; `python -m tools.bench --help`."""
