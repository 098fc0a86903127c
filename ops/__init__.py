"""What people run around the program: one file per `./slipway` verb."""
