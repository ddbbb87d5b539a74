"""Engines, which run children in processes."""

# Environment variable with the id of the process that starts a fork server. The server compares it with its parent, because that process
# may end while the server is still loading.
SEARCH_PROCESS = "NASNET_SEARCH_PROCESS"
