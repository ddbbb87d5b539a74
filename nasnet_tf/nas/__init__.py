"""Neural architecture search: strategies, ledger, engines, the loop. Nothing else knows it exists."""
