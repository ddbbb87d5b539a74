"""Neural architecture search: strategies, engines, children, trials and the search loop. The rest of the package does not depend on it."""
