"""The program that the engine starts. infra/slipway/program.py is its story on one screen."""

from slipway import program

program.run()
