"""Training of any keras.Model by its own loop; knows nothing of cells (drop path layers aside)."""
