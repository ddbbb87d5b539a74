"""Keras layers; they know nothing of cells."""
