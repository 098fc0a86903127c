"""Faster imports of the generated SDKs of Pulumi's providers. Nothing here changes what a program declares."""
