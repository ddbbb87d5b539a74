"""Where children run."""

# Environment variable: the process that starts a fork server, which may have ended while the server still loads.
SEARCH_PROCESS = "NASNET_SEARCH_PROCESS"
