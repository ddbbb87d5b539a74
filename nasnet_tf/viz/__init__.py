"""Figures: diagrams of genotypes, plots of searches and trainings, and the report page that contains them."""
