"""Run the plugin: the engine starts this package with its own address as the argument."""

from local.plugins.kubernetes.provider import VERSION, KubernetesPlugin
from local.plugins.provider import serve

if __name__ == "__main__":
    serve(KubernetesPlugin, VERSION)
