"""The trial journal: an append-only file that holds the truth of a search.

One JSON object a line, each forced to disk before anything acts on it. The first line identifies the search; every other line is an event
of one trial:

  {"event": "search", "time": unix seconds, "identity": {...}}
  {"event": "proposed", "trial": 0, "genotype": textproto, "hash": "...", "decisions": [...], "log_probs": [...]}
  {"event": "finished", "trial": 0, "attempt": 1, "reward": 0.93, "seconds": 12.3, "metrics": {...}}
  {"event": "failed", "trial": 0, "attempt": 1, "reason": "...", "seconds": 3.2}
  {"event": "infeasible", "trial": 0, "attempt": 1, "reason": "...", "seconds": 3.2}
"""
