"""Slipway as a dependency: the wheel, projects of others, and the verbs that write them."""
