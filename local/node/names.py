"""Names and addresses of the local cluster."""

CONTEXT = "slipway-local"
NODE = "slipway"
# An address on the loopback interface: it does not change with the network of the machine, it exists without a network,
# and other machines have no route to it.
NODE_ADDRESS = "10.97.0.1"
POD_NETWORK = "10.244.0.0/16"
NODE_PODS = "10.244.0.0/24"
SERVICE_NETWORK = "10.96.0.0/16"
FIRST_SERVICE_ADDRESS = "10.96.0.1"
DNS_ADDRESS = "10.96.0.10"
INGRESS_ADDRESS = "10.96.0.20"
REGISTRY = "127.0.0.1:5000"
# Images of the local cluster are in repositories below this name.
LOCAL_REPOSITORIES = "localhost:5000/slipway"
CNI_NETWORK = "slipway"
