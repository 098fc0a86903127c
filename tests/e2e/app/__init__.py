"""The deployed app: its contracts, its data, its pages, and clients that attack it."""
