"""Pictures: genotypes as diagrams, searches and trainings as plots, and the report that holds them."""
