"""Stand-ins for Pulumi's provider plugins, for machines that cannot download the official ones.

Each plugin is one package, which the Pulumi engine starts as `python -m local.plugins.NAME`. `provider.py` holds what
all plugins need because the Pulumi SDK leaves it out: values, errors, messages and the server. A plugin supports the
resource types of our own program and nothing else: add a type, or an input, only when the program starts to use it.
"""
