"""Tests of the deployed app: its contracts, data and pages, and hostile clients."""
