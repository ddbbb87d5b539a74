"""Tunes the values of a recipe for a fixed genotype with KerasTuner, and offers our search space and strategies to users of KerasTuner."""
