"""Run the plugin: the engine starts this package with its own address as the argument."""

from local.plugins.docker.provider import VERSION, DockerPlugin
from local.plugins.provider import serve

if __name__ == "__main__":
    serve(DockerPlugin, VERSION)
