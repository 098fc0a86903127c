"""The provider's kubeconfig: pinned to the server that was accepted, and without credentials.

`pulumi destroy` and `pulumi refresh` do not run the program. They use the provider as the state has it, so the state
has to say which server the stack is on: a context's name alone may lead anywhere tomorrow. Credentials do not belong
into a state. So the pinned kubeconfig has the address of the server and an exec plugin, which is this file:

    python3 exec_credential.py CONTEXT SERVER

It prints what the kubeconfig of whoever runs Pulumi has for that context, if that still leads to that server. The
provider starts it in this folder, as the engine has started the provider here.
"""

from __future__ import annotations

import base64
import json
import sys

from credentials import Credentials, pem
from kubeconfig import Access, Entry, KubeconfigError, load

API_VERSION = "client.authentication.k8s.io/v1"
_KEPT_OF_CLUSTER = ("server", "tls-server-name", "insecure-skip-tls-verify", "proxy-url", "disable-compression")
_KEPT_OF_USER = ("as", "as-uid", "as-groups", "as-user-extra")
_SECRET = ("token", "tokenFile", "client-certificate", "client-certificate-data", "exec")


def pinned(access: Access) -> str:
    """Return a kubeconfig with this context alone, its server, and no credentials.

    Empty, so that the provider reads the kubeconfig as it is, where that cannot be had: an exec plugin cannot give a
    password, and a proxy's address may contain one.
    """
    if {"username", "auth-provider"} & access.user.keys() or "@" in str(access.cluster.get("proxy-url")):
        return ""
    cluster: Entry = {key: access.cluster[key] for key in _KEPT_OF_CLUSTER if key in access.cluster}
    if authority := pem(access.cluster, "certificate-authority", f"the cluster of context {access.context!r}"):
        cluster["certificate-authority-data"] = base64.b64encode(authority.encode()).decode()
    user: Entry = {key: access.user[key] for key in _KEPT_OF_USER if key in access.user}
    if any(access.user.get(key) for key in _SECRET):
        arguments = ["exec_credential.py", access.context, access.server]
        user["exec"] = {"apiVersion": API_VERSION, "command": "python3", "args": arguments, "interactiveMode": "Never"}
    context = {"cluster": access.context, "user": access.context, "namespace": access.namespace}
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": access.context, "cluster": cluster}],
            "users": [{"name": access.context, "user": user}],
            "contexts": [{"name": access.context, "context": context}],
            "current-context": access.context,
        }
    )


def credential(context: str, server: str) -> Entry:
    """Return the ExecCredential for a context; KubeconfigError if it leads to another server now."""
    access = load().access(context)
    if access.server != server:
        raise KubeconfigError(
            f"context {context!r} leads to {access.server} now, and this stack was last updated on {server}. Use the "
            "kubeconfig of that cluster; if it has moved, `pulumi up` takes over its new address"
        )
    found = Credentials(access).current()
    status = {
        "token": found.token,
        "clientCertificateData": found.certificate,
        "clientKeyData": found.key,
        "expirationTimestamp": found.expires.isoformat() if found.expires else "",
    }
    kept = {key: value for key, value in status.items() if value}
    return {"apiVersion": API_VERSION, "kind": "ExecCredential", "status": kept}


def main(context: str, server: str) -> None:
    """Print the credential, or why there is none."""
    try:
        answer = credential(context, server)
    except KubeconfigError as error:
        # client-go shows neither what a failed program printed nor its stderr, but it does quote an unknown kind.
        answer = {"apiVersion": API_VERSION, "kind": f"{error}. Nothing was changed"}
    print(json.dumps(answer))


if __name__ == "__main__":
    main(*sys.argv[1:])
