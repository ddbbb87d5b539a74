"""Networks leaving and entering: SavedModels, load_nasnet, weights of other implementations."""
