"""Defects in references between objects, and in who may connect to whom."""

from __future__ import annotations

from tests.faults import GONE, add, both, drop, put
from tests.mutants.seeding import again, in_objects

API = "Deployment/api spec"
POD = f"{API}.template.spec"
BOX = f"{POD}.containers[0]"
NET = "NetworkPolicy/api spec"
DENY = "NetworkPolicy/default-deny spec"
SERVICE = "Service/api spec"
INGRESS = "Ingress/api spec"
ROUTE = "HTTPRoute/api spec"
CRON = "CronJob/api-report spec"
OPEN = {"cidr": "0.0.0.0/0"}


LINKS = [
    in_objects("variables from a ConfigMap that is not there", put(f"{BOX}.envFrom[0].configMapRef.name", "api-env")),
    in_objects("variables from nowhere", put(f"{BOX}.envFrom", GONE)),
    in_objects("a file from a ConfigMap that is not there", put(f"{POD}.volumes[0].configMap.name", "api-config")),
    in_objects("a Secret that is not there", put(f"{POD}.volumes[1].secret.secretName", "api-secret")),
    in_objects(
        "a key the ConfigMap has not",
        put(f"{POD}.volumes[0].configMap.items", [{"key": "config.yml", "path": "config.yaml"}]),
    ),
    in_objects(
        "a key the Secret has not",
        put(f"{POD}.volumes[1].secret.items", [{"key": "signing_key", "path": "signing-key"}]),
    ),
    in_objects("the file's key is not the one the app opens", put("ConfigMap/api-file data", {"config.yml": "a: 1\n"})),
    in_objects("the app looks for its secrets elsewhere", put(f"{BOX}.volumeMounts[1].mountPath", "/run/secrets")),
    in_objects("a mount of no volume", put(f"{BOX}.volumeMounts[0].name", "configs")),
    in_objects("a volume nobody mounts", put(f"{BOX}.volumeMounts[0]", GONE)),
    in_objects("two mounts at one path", put(f"{BOX}.volumeMounts[1].mountPath", "/etc/slipway")),
    in_objects("a file mounted by subPath never changes", put(f"{BOX}.volumeMounts[0].subPath", "config.yaml")),
    in_objects(
        "the store's Secret under another name",
        put("ExternalSecret/api-secret spec.target.name", "api"),
        "secret-store",
    ),
    in_objects(
        "the store's order with a misspelt field",
        put("ExternalSecret/api-secret spec.refreshIntervall", "1h"),
        "secret-store",
    ),
    in_objects(
        "a pull secret that is not there", put("ServiceAccount/api imagePullSecrets[0].name", "pull"), "registry"
    ),
    in_objects("a pull secret of another type", put("Secret/registry type", "Opaque"), "registry"),
    in_objects("Service finds no pods", put(f"{SERVICE}.selector.'app.kubernetes.io/name'", "app")),
    in_objects(
        "Service finds every service's pods",
        put(f"{SERVICE}.selector.'app.kubernetes.io/name'", GONE),
        "two-services",
    ),
    in_objects("Service leads to a port that is not there", put(f"{SERVICE}.ports[0].targetPort", "web")),
    in_objects("Service leads to a number nobody listens on", put(f"{SERVICE}.ports[0].targetPort", 8081)),
    in_objects(
        "Service with one port twice",
        put(f"{SERVICE}.ports[1]", {"name": "http2", "port": 80, "targetPort": "http"}),
    ),
    in_objects("Service shows probes and metrics", put(f"{SERVICE}.ports[0].targetPort", "admin")),
    in_objects("Ingress leads to no Service", put(f"{INGRESS}.rules[0].http.paths[0].backend.service.name", "app")),
    in_objects("Ingress leads to no port", put(f"{INGRESS}.rules[0].http.paths[0].backend.service.port.name", "web")),
    in_objects("HTTPRoute leads to no Service", put(f"{ROUTE}.rules[0].backendRefs[0].name", "app"), "gateway"),
    in_objects("HTTPRoute leads to no port", put(f"{ROUTE}.rules[0].backendRefs[0].port", 8080), "gateway"),
    in_objects(
        "Deployment does not select its pods", put(f"{API}.template.metadata.labels.'app.kubernetes.io/name'", "app")
    ),
    in_objects(
        "a selector with the version in it",
        both(
            put(f"{API}.selector.matchLabels.'app.kubernetes.io/version'", "1"),
            put(f"{API}.template.metadata.labels.'app.kubernetes.io/version'", "1"),
        ),
    ),
    in_objects("the app is told another port", put(f"{BOX}.ports[0].containerPort", 8081)),
    in_objects("two container ports of one name", put(f"{BOX}.ports[1].name", "http")),
    in_objects("two objects of one name", again("Service/api")),
    in_objects(
        "a job's pods answer the Service's requests",
        put(f"{CRON}.jobTemplate.spec.template.metadata.labels.'app.kubernetes.io/name'", "api"),
        "jobs",
    ),
    in_objects("an object's name in capitals", put("ServiceAccount/api metadata.name", "Api")),
    in_objects("a label no API server takes", put("Service/api metadata.labels.'app.kubernetes.io/name'", "the api")),
    in_objects("an annotation that is no text", put("Service/api metadata.annotations", {"on": True})),
    in_objects("no labels", put("Service/api metadata.labels", GONE)),
    in_objects("a field that is misspelt", put(f"{API}.revisionHistorylimit", 5)),
    in_objects("a number as text", put(f"{API}.revisionHistoryLimit", "5")),
    in_objects("an API version that is gone", put("Ingress/api apiVersion", "extensions/v1beta1")),
    in_objects(
        "an ephemeral pod of nobody",
        add("Pod", "extra", apiVersion="v1", spec={"containers": [{"name": "a", "image": "a"}]}),
    ),
]

NETWORK = [
    in_objects("everybody may come in", put(f"{NET}.ingress[0]", {})),
    in_objects(
        "everybody may come in, from every namespace", put(f"{NET}.ingress[0].from", [{"namespaceSelector": {}}])
    ),
    in_objects("everything may go out", put(f"{NET}.egress", [{}])),
    in_objects("the whole internet may be reached", put(f"{NET}.egress", [{"to": [{"ipBlock": OPEN}]}])),
    in_objects("a connection without a port", put(f"{NET}.ingress[0].ports", GONE)),
    in_objects("nothing is closed", drop("NetworkPolicy/default-deny")),
    in_objects("only what comes in is closed", put(f"{DENY}.policyTypes", ["Ingress"])),
    in_objects(
        "default-deny closes some pods",
        put(f"{DENY}.podSelector", {"matchLabels": {"app.kubernetes.io/name": "api"}}),
    ),
    in_objects("no DNS", put(f"{DENY}.egress", GONE)),
    in_objects("DNS over UDP only", put(f"{DENY}.egress[0].ports[1]", GONE)),
    in_objects("the caller may not leave", put("NetworkPolicy/web spec.egress", []), "two-services"),
    in_objects("the called may not be entered", put(f"{NET}.ingress[0].from[0]", GONE), "two-services"),
    in_objects("the ingress controller may not come in", put(f"{NET}.ingress", [])),
    in_objects("a port nobody listens on is opened", put(f"{NET}.ingress[0].ports[0].port", 80)),
    in_objects("a policy for pods that are not there", put(f"{NET}.podSelector.matchLabels.slipway/service", "app")),
    in_objects("no policy for a service", drop("NetworkPolicy/api")),
    in_objects("Ingress without TLS", put(f"{INGRESS}.tls", GONE)),
    in_objects("TLS for another host", put(f"{INGRESS}.tls[0].hosts", ["www.example.com"])),
    in_objects("TLS without a certificate", put(f"{INGRESS}.tls[0].secretName", GONE)),
    in_objects("a certificate of another type", put("Secret/api-tls type", "Opaque"), "local"),
    in_objects("a certificate without its key", put("Secret/api-tls stringData.'tls.key'", GONE), "local"),
    in_objects("Ingress for every host", put(f"{INGRESS}.rules[0].host", GONE)),
    in_objects(
        "Ingress for a wildcard",
        both(
            put(f"{INGRESS}.rules[0].host", "*.example.com"),
            put(f"{INGRESS}.tls[0].hosts", ["*.example.com"]),
        ),
    ),
    in_objects("HTTPRoute on the plain listener", put(f"{ROUTE}.parentRefs[0].sectionName", "http"), "gateway"),
    in_objects("HTTPRoute on no Gateway", put(f"{ROUTE}.parentRefs", GONE), "gateway"),
    in_objects("HTTPRoute with a misspelt field", put(f"{ROUTE}.hostname", "api.example.com"), "gateway"),
    in_objects(
        "an address two services want",
        put(
            "Ingress/web spec.rules[0]",
            {
                "host": "api.example.com",
                "http": {
                    "paths": [
                        {
                            "path": "/",
                            "pathType": "Prefix",
                            "backend": {"service": {"name": "web", "port": {"name": "http"}}},
                        }
                    ]
                },
            },
        ),
        "two-services",
    ),
    in_objects("Service open on every node", put(f"{SERVICE}.type", "NodePort")),
    in_objects("Service with a load balancer of its own", put(f"{SERVICE}.type", "LoadBalancer")),
    in_objects("Service with an address of the outside", put(f"{SERVICE}.externalIPs", ["203.0.113.1"])),
]
