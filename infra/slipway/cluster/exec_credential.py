"""The kubeconfig of the Pulumi provider: pinned to the accepted server, and without credentials.

`pulumi destroy` and `pulumi refresh` do not run the program. They use the provider from the state, so the state has to
contain the server of the stack: the name of a context may lead to another server tomorrow. Credentials do not belong
into the state. So the pinned kubeconfig has the address of the server and an exec plugin, this module:

    python3 -m slipway.cluster.exec_credential CONTEXT SERVER

It prints the credential that the user's own kubeconfig has for the context, if that still leads to the server. The
provider runs it in infra/, the folder in which the engine runs the provider. A project with a file exec_credential.py
there, as this repository, has that file in its states: a name in a state stays as it is.
"""

from __future__ import annotations

import json
import sys

from slipway.cluster.credentials import Credentials, cluster_without_files
from slipway.cluster.kubeconfig import Access, Entry, KubeconfigError, load
from slipway.project import INFRA

API_VERSION = "client.authentication.k8s.io/v1"
_OWN_FILE = "exec_credential.py"
_KEPT_OF_USER = ("as", "as-uid", "as-groups", "as-user-extra")
_SECRET = ("token", "tokenFile", "client-certificate", "client-certificate-data", "exec")


def pinned(access: Access) -> str:
    """Return a kubeconfig with this context alone, its server, and no credentials.

    It is empty, so that the provider reads the user's kubeconfig, where passwords are involved: an exec plugin cannot
    return one, and the address of a proxy may contain one.
    """
    if {"username", "auth-provider"} & access.user.keys() or "@" in str(access.cluster.get("proxy-url")):
        return ""
    user: Entry = {key: access.user[key] for key in _KEPT_OF_USER if key in access.user}
    if any(access.user.get(key) for key in _SECRET):
        program = [_OWN_FILE] if (INFRA / _OWN_FILE).is_file() else ["-m", "slipway.cluster.exec_credential"]
        arguments = [*program, access.context, access.server]
        user["exec"] = {"apiVersion": API_VERSION, "command": "python3", "args": arguments, "interactiveMode": "Never"}
    context = {"cluster": access.context, "user": access.context, "namespace": access.namespace}
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": access.context, "cluster": cluster_without_files(access)}],
            "users": [{"name": access.context, "user": user}],
            "contexts": [{"name": access.context, "context": context}],
            "current-context": access.context,
        }
    )


def credential(context: str, server: str) -> Entry:
    """Return the ExecCredential for a context. Raises KubeconfigError if it leads to another server now."""
    access = load().access(context)
    if access.server != server:
        raise KubeconfigError(
            f"context {context!r} leads to {access.server} now, and this stack was last updated on {server}. Use the "
            "kubeconfig of that cluster; if it has moved, `pulumi up` takes over its new address"
        )
    current = Credentials(access).current()
    status = {
        "token": current.token,
        "clientCertificateData": current.certificate,
        "clientKeyData": current.key,
        "expirationTimestamp": current.expires.isoformat() if current.expires else "",
    }
    present = {key: value for key, value in status.items() if value}
    return {"apiVersion": API_VERSION, "kind": "ExecCredential", "status": present}


def main(context: str, server: str) -> None:
    """Print the credential, or the reason why there is none."""
    try:
        answer = credential(context, server)
    except KubeconfigError as error:
        # client-go shows neither stdout nor stderr of a failed program, but it quotes an unknown kind.
        answer = {"apiVersion": API_VERSION, "kind": f"{error}. Nothing was changed"}
    print(json.dumps(answer))


if __name__ == "__main__":
    main(*sys.argv[1:])
