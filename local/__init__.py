"""The embedded default: everything `make up` needs that the machine does not have yet."""
