"""Tuning with KerasTuner: the numbers of a recipe, for a fixed genotype; and our search space and strategies for KerasTuner's own users."""
