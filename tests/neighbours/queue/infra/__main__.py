"""The program that the engine starts: all of it is in the package `slipway`."""

from slipway import program

program.run()
