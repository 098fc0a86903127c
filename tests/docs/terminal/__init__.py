"""docs/reference/terminal/: what `./slipway` prints on a terminal, drawn from real runs (`make terminal-pictures`)."""
