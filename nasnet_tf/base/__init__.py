"""Basics that know nothing of networks: errors, types and ranges, files, work folders, configurations, terminal output."""
