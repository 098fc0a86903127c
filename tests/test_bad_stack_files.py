"""Stack files as people break them: each is a text, read as a file of stacks/ is, and names its mistake.

One row is an edit of BASE, the key the message has to name and words of the rule. Whatever is wrong, the program ends
with one `pulumi.RunError` before it declares anything: no traceback, no regular expression, no value of a secret.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import pulumi
import pytest
import stack_file
import yaml
from settings import ROOT

from ops import recorder
from ops.__main__ import main
from ops.recorder import STAND_IN, Program, declare

BASE = """\
config:
  slipway:cluster:
    context: dev
  slipway:image:
    source: build
  slipway:namespace: slipway-dev
  slipway:services:
    api:
      autoscaling: {min: 1, max: 2}
      resources: {cpu: 50m, memory: 64Mi}
      ingress:
        host: api.dev.example.com
        path: /v1
        tls: {issuer: dev-ca}
      egress: [{cidr: 10.20.0.0/16, ports: [3306]}]
      schedules:
        report: {args: [report], cron: 30 3 * * *, timeZone: Asia/Tokyo}
      env: {LOG_LEVEL: debug}
      secrets: [signing-key]
"""
# Stands in some of the files where a secret has no business; no message may repeat it.
CANARY = "hunter2-Hunter2-4711"
SERVER = "mysql:8.4@sha256:" + "0" * 64

Row = tuple[str, str, str, str]
API = "      autoscaling:"
HOST = "host: api.dev.example.com"
CRON = "cron: 30 3 * * *"

EDITS: dict[str, list[Row]] = {
    "missing": [
        ("  slipway:cluster:\n    context: dev\n", "", "cluster", "is required"),
        ("    context: dev\n", "    server: https://10.0.0.1\n", "cluster.context", "is required"),
        ("context: dev", "context:", "cluster.context", "has no value"),
        ("context: dev", 'context: ""', "cluster.context", "should not be empty"),
        ("  slipway:cluster:\n    context: dev\n", "  slipway:cluster:\n", "cluster", "has no value"),
        (f"        {HOST}\n", "", "services.api.ingress.host", "is required"),
        ("max: 2}", "max: }", "services.api.autoscaling.max", "has no value"),
        ("cidr: 10.20.0.0/16, ", "", "services.api.egress.0.cidr", "is required"),
        ("ports: [3306]", "ports: []", "services.api.egress.0.ports", "at least 1 item"),
        ("args: [report], ", "", "services.api.schedules.report.args", "is required"),
        (f", {CRON}", "", "services.api.schedules.report.cron", "is required"),
        ("    api:\n", "    extra:\n    api:\n", "services.extra", "has no value"),
    ],
    "wrong type": [
        ("max: 2}", 'max: "2"}', "services.api.autoscaling.max", "whole number, without quotes"),
        ("max: 2}", "max: two}", "services.api.autoscaling.max", "whole number"),
        ("max: 2}", "max: 2.5}", "services.api.autoscaling.max", "whole number"),
        ("max: 2}", "max: true}", "services.api.autoscaling.max", "whole number (found: true)"),
        ("max: 2}", "max: 12:30}", "services.api.autoscaling.max", "whole number"),
        ("env: {LOG_LEVEL: debug}", "env: {DEBUG: true}", "services.api.env.DEBUG", "put it in quotes"),
        ("env: {LOG_LEVEL: debug}", "env: {PORT: 8080}", "services.api.env.PORT", "put it in quotes"),
        ("env: {LOG_LEVEL: debug}", "env: {MODE: 0o17}", "services.api.env.MODE", "put it in quotes"),
        ("env: {LOG_LEVEL: debug}", "env: {RATE: .5}", "services.api.env.RATE", "put it in quotes"),
        ("env: {LOG_LEVEL: debug}", "env: [LOG_LEVEL=debug]", "services.api.env", "should be a mapping"),
        ("tls: {issuer: dev-ca}", "tls: {secretFiles: yes}", "services.api.ingress.tls.secretFiles", "true or false"),
        ("tls: {issuer: dev-ca}", "tls: {secretFiles: on}", "services.api.ingress.tls.secretFiles", "true or false"),
        ("tls: {issuer: dev-ca}", "tls: true", "services.api.ingress.tls", "should be a mapping"),
        ("secrets: [signing-key]", "secrets: signing-key", "services.api.secrets", "should be a list"),
        ("ports: [3306]", "ports: 3306", "services.api.egress.0.ports", "should be a list"),
        ("ports: [3306]", 'ports: ["3306"]', "services.api.egress.0.ports.0", "whole number, without quotes"),
        ("args: [report]", "args: report --all", "services.api.schedules.report.args", "should be a list"),
        ("    api:\n", "    - api:\n", "services", "should be a mapping"),
        ("context: dev", "context: 5", "cluster.context", "should be text: put it in quotes"),
        ("  slipway:image:", "  slipway:secretFiles: [a]\n  slipway:image:", "secretFiles", "should be text"),
        ("cpu: 50m", "cpu: true", "services.api.resources.cpu", "CPUs such as 250m"),
        ("slipway-dev", "true", "namespace", "lower-case letters"),
        ("  slipway:image:\n    source: build\n", "  slipway:image: build\n", "image", "should be a mapping"),
        ("  slipway:image:\n    source: build\n", "  slipway:image: '{source'\n", "image", "should be a mapping"),
        ("env: {", "env: {RELEASED: 2027-01-31 10:00:00, ", "services.api.env.RELEASED", "put it in quotes"),
        ("env: {", "env: {A: .inf, ", "services.api.env.A", "no number the engine could pass on"),
        ("env: {", "env: {A: !!binary aGk=, ", "services.api.env.A", "the tag !!binary"),
    ],
    "out of range": [
        ("min: 1,", "min: 0,", "services.api.autoscaling.min", "greater than or equal to 1"),
        ("min: 1,", "min: -1,", "services.api.autoscaling.min", "greater than or equal to 1 (found: -1)"),
        ("max: 2}", "max: 1e3}", "services.api.autoscaling.max", "less than or equal to 100 (found: 1000)"),
        ("max: 2}", "max: 99999999999999999999}", "services.api.autoscaling.max", "less than or equal to 100"),
        ("max: 2}", "max: 2, cpuPercent: 100}", "services.api.autoscaling.cpuPercent", "less than or equal to 95"),
        ("min: 1,", "min: 5,", "services.api.autoscaling", "min (5) is more than max (2)"),
        ("cpu: 50m,", "cpu: 2, cpuLimit: 500m,", "services.api.resources", "cpu (2) is more than cpuLimit (500m)"),
        (API, "      drain: {preStopSeconds: 0, delaySeconds: 1}\n" + API, "services.api.drain", "would be lost"),
        (API, "      drain: {shutdownSeconds: 3600}\n" + API, "services.api.drain.shutdownSeconds", "equal to 300"),
        (API, "      startupSeconds: 1\n" + API, "services.api.startupSeconds", "greater than or equal to 5"),
        ("ports: [3306]", "ports: [0]", "services.api.egress.0.ports.0", "greater than or equal to 1"),
        ("ports: [3306]", "ports: [65536]", "services.api.egress.0.ports.0", "less than or equal to 65535"),
        ("args: [report],", "args: [report], retries: 11,", "services.api.schedules.report.retries", "equal to 10"),
        ("  slipway:namespace", "  slipway:quota: {pods: 1}\n  slipway:namespace", "quota.pods", "is less than"),
    ],
    "quantity": [
        ("memory: 64Mi", "memory: 64MB", "services.api.resources.memory", "such as 64Mi or 1Gi (found: '64MB')"),
        ("memory: 64Mi", "memory: 64", "services.api.resources.memory", "such as 64Mi or 1Gi (found: 64)"),
        ("memory: 64Mi", "memory: 1e3", "services.api.resources.memory", "such as 64Mi or 1Gi (found: 1000)"),
        ("memory: 64Mi", "memory: -64Mi", "services.api.resources.memory", "such as 64Mi"),
        ("memory: 64Mi", "memory: 64 Mi", "services.api.resources.memory", "such as 64Mi"),
        ("memory: 64Mi", "memory: 0Mi", "services.api.resources.memory", "such as 64Mi"),
        ("memory: 64Mi", "memory: ６４Mi", "services.api.resources.memory", "such as 64Mi"),
        ("cpu: 50m", "cpu: 50M", "services.api.resources.cpu", "CPUs such as 250m"),
        ("cpu: 50m", "cpu: -1", "services.api.resources.cpu", "CPUs such as 250m"),
        ("cpu: 50m", "cpu: 0", "services.api.resources.cpu", "more than 0"),
        ("cpu: 50m", "cpu: 0.0001", "services.api.resources.cpu", "CPUs such as 250m"),
        ("cpu: 50m", "cpu: half", "services.api.resources.cpu", "CPUs such as 250m"),
        ("cpu: 50m", f"cpu: {'9' * 20}m", "services.api.resources.cpu", "CPUs such as 250m"),
        ("memory: 64Mi", "memory: 7Mi", "services.api.resources", "less than the 8Mi a container needs to start"),
    ],
    "host and path": [
        (HOST, "host: '*.example.com'", "services.api.ingress.host", "no wildcard"),
        (HOST, "host: api.example.com.", "services.api.ingress.host", "a host name"),
        (HOST, "host: 10.0.0.1", "services.api.ingress.host", "no address"),
        (HOST, "host: API.example.com", "services.api.ingress.host", "lower case"),
        (HOST, "host: my_api.example.com", "services.api.ingress.host", "a host name"),
        (HOST, "host: https://api.example.com", "services.api.ingress.host", "a host name"),
        (HOST, "host: api.example.com:8443", "services.api.ingress.host", "a host name"),
        (HOST, "host: localhost", "services.api.ingress.host", "a host name"),
        (HOST, f"host: {'a' * 64}.example.com", "services.api.ingress.host", "a host name"),
        (HOST, f"host: {'a.' * 150}com", "services.api.ingress.host", "a host name"),
        (HOST, "host: аpi.example.com", "services.api.ingress.host", "a host name"),  # a Cyrillic letter
        (HOST, "host: -api.example.com", "services.api.ingress.host", "a host name"),
        ("path: /v1", "path: v1", "services.api.ingress.path", "a path such as /v1"),
        ("path: /v1", "path: /v1?x=1", "services.api.ingress.path", "a path such as /v1"),
        ("path: /v1", "path: /v1//x", "services.api.ingress.path", "a path without //"),
        ("path: /v1", "path: /v1/../x", "services.api.ingress.path", "a path without //, /./ and /../"),
        ("path: /v1", "path: /v1/..", "services.api.ingress.path", "a path without //, /./ and /../"),
        ("path: /v1", "path: /.", "services.api.ingress.path", "a path without //, /./ and /../"),
        (
            "    api:\n",
            f"    web: {{ingress: {{{HOST}, path: /, tls: {{issuer: dev-ca}}}}}}\n    api:\n",
            "services.web.ingress.tls",
            "has a certificate already, that of api; one of the two would be served. Take the same one. Example: tls: "
            "{secretName: api-tls}",
        ),
        (
            "    api:\n",
            f"    web: {{ingress: {{{HOST}, path: /, tls: {{secretName: other}}}}}}\n    api:\n",
            "services.web.ingress.tls",
            "Example: tls: {secretName: api-tls}",
        ),
    ],
    "not legal for Kubernetes": [
        ("slipway-dev", "Slipway_Dev", "namespace", "lower-case letters"),
        ("slipway-dev", "x" * 64, "namespace", "at most 40"),
        ("slipway-dev", "-dev", "namespace", "lower-case letters"),
        ("    api:\n", "    My API:\n", "services.My API", "lower-case letters"),
        ("    api:\n", "    1api:\n", "services.1api", "from a letter on"),
        ("report: {", "Nightly_Report: {", "services.api.schedules.Nightly_Report", "lower-case letters"),
        ("env: {", "env: {log-level: debug, ", "services.api.env.log-level", "the name of a variable"),
        ("secrets: [signing-key]", "secrets: [Signing_Key]", "services.api.secrets.0", "the name of a secret"),
        ("10.20.0.0/16", "10.20.0.1/16", "services.api.egress.0.cidr", "host bits set"),
        ("10.20.0.0/16", "10.20.0.0", "services.api.egress.0.cidr", "range of addresses"),
        ("10.20.0.0/16", "db.example.com", "services.api.egress.0.cidr", "range of addresses"),
        ("10.20.0.0/16", "300.0.0.0/8", "services.api.egress.0.cidr", "range of addresses"),
        ("ports: [3306]", "ports: [3306, 3306]", "services.api.egress.0.ports.1", "is in the list twice"),
        (API, "      needs: [api]\n" + API, "services.api.needs.0", "need not name itself"),
        ("source: build", "source: build\n    repository: r.example.com/api:v1", "image.repository", "without tag"),
        ("source: build", "source: prebuilt\n    digest: latest", "image.digest", "64 hexadecimal digits"),
        ("10.20.0.0/16", "10.0.0.0/08", "services.api.egress.0.cidr", "without leading zeros, /8"),
        ("10.20.0.0/16", "'::ffff:10.0.0.0/104'", "services.api.egress.0.cidr", "takes none inside of IPv6"),
        (API, "      selector: {a..b/app: api}\n" + API, "services.api.selector.a..b/app", "the name of a label"),
        (API, "      selector: {-a/app: api}\n" + API, "services.api.selector.-a/app", "the name of a label"),
        (API, "      selector: {appé: api}\n" + API, "services.api.selector.appé", "the name of a label"),
        (API, "      selector: {app: apiéa}\n" + API, "services.api.selector.app", "the value of a label"),
    ],
    "connections and stores": [
        ("ports: [3306]", "ports: [1, 2], lastPort: 9", "services.api.egress.0", "goes with one port in ports"),
        ("ports: [3306]", "ports: [9], lastPort: 8", "services.api.egress.0", "is not less than that"),
        ("ports: [3306]", "ports: [9], lastPort: 65536", "services.api.egress.0.lastPort", "less than or equal to"),
        ("ports: [3306]", "ports: [9], protocol: udp", "services.api.egress.0.protocol", "'TCP', 'UDP' or 'SCTP'"),
        ("context: dev", "context: dev\n    ingressCidrs: [0.0.0.0/0]", "cluster", "0.0.0.0/0 is everybody"),
        ("context: dev", "context: dev\n    ingressCidrs: [10.0.0.1]", "cluster.ingressCidrs.0", "range of addresses"),
        ("slipway-dev", "slipway-dev\n  slipway:secretStore: {name: vault}", "secretStore.entries", "is required"),
        (
            "slipway-dev",
            "slipway-dev\n  slipway:secretStore: {name: vault, entries: one-map}",
            "secretStore",
            "path: is required with entries: one-map",
        ),
        (
            "slipway-dev",
            "slipway-dev\n  slipway:secretStore: {name: vault, entries: values, property: value}",
            "secretStore",
            "property goes with entries: maps",
        ),
        (
            "slipway-dev",
            "slipway-dev\n  slipway:secretStore: {name: vault, entries: maps, property: ''}",
            "secretStore",
            "an empty one takes the whole map for the secret",
        ),
    ],
    "composed and taken names": [
        ("slipway-dev", "default", "namespace", "is the cluster's own and there already"),
        ("slipway-dev", "kube-system", "namespace", "is the cluster's own and there already"),
        ("slipway-dev", "ingress", "namespace", "is the ingress controller's and there already"),
        (
            "context: dev\n  slipway:image:\n    source: build\n  slipway:namespace: slipway-dev",
            "context: dev\n    monitoringNamespace: prom\n  slipway:image: {}\n  slipway:namespace: prom",
            "namespace",
            "is monitoring's and there already",
        ),
        ("    api:\n", "    default: {}\n    api:\n", "services.default", "there is a ServiceAccount of this name"),
        ("    api:\n", "    default-deny: {}\n    api:\n", "services.default-deny", "there is a NetworkPolicy of"),
        ("    api:\n", "    mysql: {}\n    api:\n", "services.mysql", "the name of a backing service"),
        ("    api:\n", "    redis: {}\n    api:\n", "services.redis", "the name of a backing service"),
        (
            "    api:\n",
            f"    api-report: {{schedules: {{x: {{args: [x], {CRON}}}}}}}\n    api:\n",
            "services.api.schedules.report",
            "its objects would be named api-report, as those of the service of that name are",
        ),
        (
            "      schedules:\n",
            f"      schedules:\n        b-c: {{args: [x], {CRON}}}\n    api-b:\n      schedules:\n"
            f"        c: {{args: [x], {CRON}}}\n",
            "services.api-b.schedules.c",
            "its CronJob would be named api-b-c, as one of api is",
        ),
        (
            "    api:\n",
            f"    {'a' * 13}:\n      schedules:\n        {'r' * 39}: {{args: [x], {CRON}}}\n    api:\n",
            f"services.{'a' * 13}.schedules.{'r' * 39}",
            "which has 53 characters; Kubernetes takes 52",
        ),
        ("secrets: [signing-key]", "secrets: [image]", "services.api", "image is the name of a section"),
        ("secrets: [signing-key]", "secrets: [service]", "services.api", "service is the name of a section"),
        (
            "  slipway:services:",
            f"  slipway:mysql: {{database: mysql, image: {SERVER}}}\n  slipway:services:",
            "mysql",
            "database: mysql is one of the server's own",
        ),
        (
            "  slipway:services:",
            f"  slipway:mysql: {{user: root, image: {SERVER}}}\n  slipway:services:",
            "mysql",
            "user: root is one of the server's own",
        ),
        (
            "  slipway:services:",
            "  slipway:mysql: {source: managed, host: a..b, cidr: 10.0.0.0/8}\n  slipway:services:",
            "mysql.host",
            "a host name or address",
        ),
    ],
    "cron": [
        (CRON, "cron: 30 3 * *", "services.api.schedules.report.cron", "has 4 fields instead of 5"),
        (CRON, "cron: 60 3 * * *", "services.api.schedules.report.cron", "minute is '60'"),
        (CRON, "cron: 30 24 * * *", "services.api.schedules.report.cron", "hour is '24'"),
        (CRON, "cron: 30 3 * * 5-1", "services.api.schedules.report.cron", "day of week is '5-1'"),
        (CRON, "cron: '*/0 * * * *'", "services.api.schedules.report.cron", "minute is '*/0'"),
        (CRON, "cron: '@daily'", "services.api.schedules.report.cron", "has 1 fields instead of 5"),
        (CRON, "cron: 30 3 * * MON", "services.api.schedules.report.cron", "day of week is 'MON'"),
        (CRON, "cron: 30 3 * * 7", "services.api.schedules.report.cron", "from 0 to 6; Sunday is 0"),
        (CRON, "cron: 30 3 * * 5-7", "services.api.schedules.report.cron", "from 0 to 6; Sunday is 0"),
        (CRON, f"cron: '*/{'9' * 20} 3 * * *'", "services.api.schedules.report.cron", "minute is"),
        (CRON, "cron: 30 3 30 2 *", "services.api.schedules.report.cron", "it would never run"),
        (CRON, "cron: '30 3 31 4-6/2,9,11 *'", "services.api.schedules.report.cron", "it would never run"),
        (CRON, "cron: 30 3 30-31 2/12 *", "services.api.schedules.report.cron", "it would never run"),
        ("source: build", "source: prebuilt\n    tag: 1e5", "image.tag", "put it in quotes (found: 100000)"),
        ("slipway-dev", "017", "namespace", "from a letter on, at most 40 (found: 15)"),
        ("LOG_LEVEL: debug", "VERSION: 1.10", "services.api.env.VERSION", "should be text: put it in quotes"),
        ("Asia/Tokyo", "asia/tokyo", "services.api.schedules.report.timeZone", "an IANA time zone"),
        ("Asia/Tokyo", "Asia/Tokio", "services.api.schedules.report.timeZone", 'did you mean "Asia/Tokyo"'),
    ],
    "contradictory": [
        (API, "      replicas: 2\n" + API, "services.api", "replicas and autoscaling exclude each other"),
        ("source: build", "source: promote", "image", "from goes with source: promote"),
        ("source: build", "source: prebuilt", "image", "digest goes with source: prebuilt"),
        ("issuer: dev-ca", "issuer: dev-ca, secretName: api-tls", "services.api.ingress.tls", "just one of"),
        ("issuer: dev-ca", "secretFiles: true", "services.api.ingress.tls.secretFiles", "needs slipway:secretFiles"),
        ("env: {", 'env: {HTTP_PORT: "80", ', "services.api", "HTTP_PORT is set by the program"),
        (API, "      needs: [apl]\n" + API, "services.api.needs.0", "no such service"),
        (
            "    api:\n",
            f"    web: {{ingress: {{{HOST}, path: /v1/}}}}\n    api:\n",
            "services.web.ingress.path",
            "already served by api",
        ),
    ],
    "typo and unknown": [
        ("slipway:services", "slipway:servces", "servces", 'did you mean "services"'),
        ("autoscaling:", "autoscalling:", "services.api.autoscalling", 'did you mean "autoscaling"'),
        ("max: 2}", "max: 2, mx: 3}", "services.api.autoscaling.mx", 'did you mean "max"'),
        (API, "      replicaCount: 2\n" + API, "services.api.replicaCount", 'did you mean "replicas"'),
        (API, "      cpu: 100m\n" + API, "services.api.cpu", 'did you mean "resources.cpu"'),
        ("cidr: 10.20.0.0/16", "cidr: 10.20.0.0/16, prots: [1]", "services.api.egress.0.prots", 'did you mean "ports"'),
        ("context: dev", "context: dev\n    Context: dev", "cluster.Context", 'did you mean "context"'),
        ("context: dev", "context: dev\n    context: prod", "cluster.context", "is given twice, on lines 3 and 4"),
        ("env: {", "env: {LOG_LEVEL: info, ", "services.api.env.LOG_LEVEL", "is given twice, on lines 18 and 18"),
        ("  slipway:namespace: ", "  slipway:image: {}\n  slipway:namespace: ", "image", "twice, on lines 4 and 6"),
        ("  slipway:namespace: ", "  namespace: x\n  slipway:namespace: ", "namespace", "is given twice"),
        ("slipway:namespace", "slipwya:namespace", "", 'slipwya:namespace: unknown key; did you mean "slipway:name'),
        ("config:", "confg:", "", 'confg: unknown key; did you mean "config"'),
        ("config:\n", "namespace: x\nconfig:\n", "", "namespace: unknown key"),
        ("source: build", "source: biuld", "image.source", "'build', 'prebuilt' or 'promote' (found: 'biuld')"),
        ("    context: dev\n", "    сontext: dev\n", "cluster.сontext", 'did you mean "context"'),  # Cyrillic
        ("context: dev", "context: dev\n    co\u200bntext: dev", r"cluster.co\u200bntext", 'did you mean "context"'),
    ],
    "secrets": [
        (
            "  slipway:image:",
            f"  slipway:signing-key: {CANARY}\n  slipway:image:",
            "signing-key",
            "stands there in clear",
        ),
        ("  slipway:image:", f"  slipway:sining-key: {CANARY}\n  slipway:image:", "sining-key", 'mean "signing-key"'),
        (
            "env: {LOG_LEVEL: debug}",
            f"env: {{KEY: {{secure: {CANARY}}}}}",
            "services.api.env.KEY",
            "holds a secure: value",
        ),
        ("slipway-dev", f"{{secure: {CANARY}}}", "namespace", "holds a secure: value"),
        ("secrets: [signing-key]", f"secrets: {CANARY}", "services.api.secrets", "should be a list"),
        ("secrets: [signing-key]", f"secrets: [{CANARY}]", "services.api.secrets.0", "the name of a secret"),
        ("secrets: [signing-key]", "secrets: [a, a]", "services.api.secrets.1", "is in the list twice"),
        ("  slipway:image:", f"  slipway:registry: {CANARY}\n  slipway:image:", "registry", "should be a mapping"),
        ("slipway-dev", f"https://robot:{CANARY}@example.com", "namespace", "lower-case letters"),
        ("args: [report]", f"args: --password={CANARY}", "services.api.schedules.report.args", "should be a list"),
    ],
    "characters": [
        ("debug}", '"de\\0bug"}', "services.api.env.LOG_LEVEL", "control character U+0000"),
        ("debug}", '"\\e[31m"}', "services.api.env.LOG_LEVEL", "control character U+001B"),
        ("debug}", '"\\ud800"}', "services.api.env.LOG_LEVEL", "control character U+D800"),
        ("debug}", "de\x01bug}", "", "Pulumi.dev.yaml:18: holds the control character U+0001"),
        ("context: dev", '"con\\ntext": dev', r"cluster.con\ntext", "unknown key"),
        ("slipway-dev", "😀" * 300, "namespace", "lower-case letters"),
        ("slipway-dev", "x" * 5000, "namespace", "lower-case letters"),
    ],
    "not YAML": [
        ("    context: dev", "\tcontext: dev", "", "Pulumi.dev.yaml:3: is not YAML"),
        ("max: 2}", "max: 2", "", "is not YAML"),
        ("    context: dev", "    context: dev: x", "", "Pulumi.dev.yaml:3: is not YAML"),
        ("context: dev", "context: *dev", "", "found undefined alias 'dev'"),
        ("context: dev", "context: 'dev", "", "is not YAML"),
        ("    context: dev", "    ? [a, b]\n    : dev", "", "a mapping's key should be text"),
        ("context: dev", "context: &a [*a]", "", "an anchor holds itself"),
        ("    context: dev", "    <<: 5\n    context: dev", "cluster", "takes a mapping"),
    ],
}
ROWS = [
    pytest.param(*row, id=f"{group}-{row[2] or 'file'}-{row[3]}".encode("ascii", "replace").decode())
    for group, rows in EDITS.items()
    for row in rows
]

LAUGHS = "  slipway:a: &a [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n" + "".join(
    f"  slipway:{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
FILES: list[tuple[str | bytes, str]] = [
    ("", "slipway:cluster: is required"),
    ("# all of it to come\n", "there is no mapping `config:`"),
    ("config:\n", "there is no mapping `config:`"),
    ("config: [a]\n", "there is no mapping `config:`"),
    ("- config\n", "should be a mapping that holds `config:`"),
    ("hello\n", "should be a mapping that holds `config:`"),
    (BASE + "---\n" + BASE, "expected a single document"),
    (BASE.replace("debug", "café").encode("latin-1"), "Pulumi.dev.yaml:18: is not UTF-8"),
    (BASE.encode("utf-16"), "is not UTF-8"),
    (BASE + "#" * 2**20, "has 1024 KiB; the engine can pass 128 KiB on"),
    ("config:\n" + LAUGHS, "holds more than 20000 values"),
    ("config:\n  slipway:image: " + "[" * 600 + "]" * 600 + "\n", "is nested too deeply"),
    (b"\x00\x01\x02\xff", "is not UTF-8"),
    (
        BASE.replace("\n", "\r\n").replace("max: 2", "max: 200"),
        "Pulumi.dev.yaml:9: slipway:services.api.autoscaling.max",
    ),
    ("\ufeff" + BASE.replace("max: 2", "max: 200"), "Pulumi.dev.yaml:9: slipway:services.api.autoscaling.max"),
]

Put = Callable[..., Program]


@pytest.fixture
def put(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Put:
    """`put(text, "prod")`: what the program declares with this text as the stack's file; `defaults` for all stacks'."""
    stacks = tmp_path / "stacks"
    stacks.mkdir()
    monkeypatch.setattr(stack_file, "STACKS", stacks)
    monkeypatch.setattr(recorder, "stacks", lambda: [file.name[7:-5] for file in stacks.glob("Pulumi.*.yaml")])
    (stacks / "defaults.yaml").write_text((ROOT / "stacks" / "defaults.yaml").read_text())

    def declared(text: str | bytes, stack: str = "dev", defaults: str | None = None) -> Program:
        content = text if isinstance(text, bytes) else text.encode()
        (stacks / f"Pulumi.{stack}.yaml").write_bytes(content)
        if defaults is not None:
            (stacks / "defaults.yaml").write_text(defaults)
        return declare(stack)

    return declared


def refusal(put: Put, text: str | bytes, stack: str = "dev", defaults: str | None = None) -> str:
    """The one message; nothing else gets out, and nothing that a user could not read or should not see is in it."""
    with pytest.raises(pulumi.RunError) as refused:
        put(text, stack, defaults)
    told = str(refused.value)
    assert re.match(rf"stacks/Pulumi\.{stack}\.yaml has \d+ mistakes?; nothing was changed\.\n  ", told)
    for never in ("Traceback", "Input should", "pydantic", "[a-z", "(?", STAND_IN, CANARY):
        assert never not in told
    assert all(len(line) < 500 and line.isprintable() for line in told.splitlines())
    return told


def edited(old: str, new: str) -> str:
    assert BASE.count(old) == 1, f"{old!r} is not one place of BASE"
    return BASE.replace(old, new)


def test_the_file_all_others_are_made_from_is_accepted(put: Put):
    assert put(BASE).resources


@pytest.mark.parametrize(("old", "new", "key", "words"), ROWS)
@pytest.mark.feature("B1")
def test_a_bad_stack_file_names_its_mistake(put: Put, old: str, new: str, key: str, words: str):
    told = refusal(put, edited(old, new))
    about = re.escape(f"slipway:{key}: ") if key else ""
    assert re.search(
        rf"stacks/Pulumi\.dev\.yaml:\d+: {about}.*{re.escape(words)}" if key else re.escape(words), told
    ), told


@pytest.mark.parametrize(("text", "words"), FILES, ids=[words for _, words in FILES])
def test_a_file_that_is_no_stack_file_is_refused(put: Put, text: str | bytes, words: str):
    assert words in refusal(put, text)


def test_what_can_not_be_read_is_told_and_nothing_made_up_from_it(put: Put):
    assert "has 1 mistake;" in refusal(put, edited("max: 2}", "max: 2"))
    assert "has 1 mistake;" in refusal(put, BASE, defaults="config: {")


ACCEPTED: list[Row] = [
    ("env: {LOG_LEVEL: debug}", "env: {LOG_LEVEL: debug, COUNTRY: no, AT: 12:30}", "", "yes and no are text"),
    ("env: {LOG_LEVEL: debug}", "env: {LOG_LEVEL: debug, RELEASED: 2027-01-31}", "", "a date is text"),
    ("cpu: 50m", "cpu: 1", "", "a whole CPU needs no quotes"),
    (HOST, "host: xn--bcher-kva.example.com", "", "punycode"),
    (HOST, f"host: {'a.' * 124}com", "", "251 characters"),
    ("    context: dev", "    <<: &dev {context: dev}\n    server: https://x", "", "anchors and merges"),
    ("config:\n", "encryptionsalt: v1:x\nconfig:\n  kubernetes:context: x\n", "", "what belongs to Pulumi"),
    ("slipway:namespace", "namespace", "", "a key without the project"),
    ("  slipway:image:", "  slipway:signing-key: {secure: AAABA}\n  slipway:image:", "", "an encrypted secret"),
    (CRON, "cron: 30 3 31 2 1", "", "a day that never is, or each Monday"),
    (CRON, "cron: 30 3 29 2 *", "", "a leap day"),
    (CRON, "cron: 30 3 31 */2 *", "", "months with 31 days"),
    (CRON, "cron: '5/10 0-23/5 * 1,12 0-6'", "", "lists, ranges and steps"),
    ("memory: 64Mi", "memory: 8Mi", "", "the least memory"),
    ("path: /v1", "path: /.well-known/..a/b..", "", "dots in a path"),
    ("10.20.0.0/16", "'2001:DB8::/32'", "", "a range of IPv6"),
    (
        "    api:\n",
        f"    web: {{ingress: {{{HOST}, path: /, tls: {{secretName: api-tls}}}}}}\n    api:\n",
        "",
        "two services on one host with one certificate",
    ),
    ("debug}", '"größer 😀\\n\\t"}', "", "unicode, lines and tabs"),
]


@pytest.mark.parametrize(("old", "new"), [row[:2] for row in ACCEPTED], ids=[row[3] for row in ACCEPTED])
def test_what_only_looks_like_a_mistake_is_accepted(put: Put, old: str, new: str):
    assert put(edited(old, new)).resources


@pytest.mark.parametrize("text", [BASE.replace("\n", "\r\n"), "\ufeff" + BASE], ids=["CRLF", "byte order mark"])
def test_an_editor_s_line_ends_and_byte_order_mark_do_no_harm(put: Put, text: str):
    assert put(text).manifests() == put(BASE).manifests()


@pytest.mark.feature("B1")
def test_mistakes_of_every_kind_are_told_in_one_go(put: Put, given: dict[str, str]):
    text = edited("max: 2}", "max: 2, mx: 3}").replace("min: 1,", "min: 3,").replace(HOST, f"{HOST}\n        {HOST}")
    text = text.replace("config:", "colour: red\nconfig:").replace("10.20.0.0/16", "10.20.0.0")
    told = refusal(put, text.replace("  slipway:image:", "  slipway:quota: {pods: 0}\n  slipway:image:"))
    for words in (
        "Pulumi.dev.yaml:1: colour: unknown key",
        "Pulumi.dev.yaml:11: slipway:services.api.autoscaling.mx: unknown key",
        "Pulumi.dev.yaml:11: slipway:services.api.autoscaling: min (3) is more than max (2)",
        "Pulumi.dev.yaml:15: slipway:services.api.ingress.host: is given twice, on lines 14 and 15",
        "Pulumi.dev.yaml:18: slipway:services.api.egress.0.cidr: should be a range of addresses",
        "Pulumi.dev.yaml:5: slipway:quota.pods: should be greater than or equal to 1",
        "slipway:signing-key: secret is missing",
    ):
        assert words in told, told
    assert "has 7 mistakes" in told
    lines = [int(line) for line in re.findall(r"yaml:(\d+):", told)]
    assert lines == sorted(lines)


@pytest.mark.feature("B1")
def test_an_unknown_key_does_not_hide_what_the_sections_demand_of_each_other(put: Put):
    told = refusal(put, edited(API, "      needs: [apl]\n      replcas: 2\n" + API))
    assert 'needs.0: no such service; did you mean "api"?' in told
    assert "replcas: unknown key" in told


@pytest.mark.feature("B1", "B2")
def test_a_mistake_in_what_all_stacks_share_is_told_with_its_own_line_and_once(put: Put):
    image = "slipway:image: {repository: r.example.com/api}"
    shared = f"config:\n  {image}\n  slipway:service:\n    drian: {{}}\n    env: {{A: 1}}\n"
    told = refusal(put, edited("    api:\n", "    web: {}\n    api:\n"), defaults=shared)
    assert "has 2 mistakes" in told
    assert 'stacks/defaults.yaml:4: slipway:service.drian: unknown key; did you mean "drain"?' in told
    assert "stacks/defaults.yaml:5: slipway:service.env.A: should be text" in told


@pytest.mark.parametrize(
    ("shared", "words"),
    [
        (f"config: {{slipway:signing-key: {CANARY}}}", "slipway:signing-key: unknown key"),
        ("config: {slipway:service: 5}", "slipway:service: should be a mapping"),
        ("config: {slipway:servcie: {}}", 'slipway:servcie: unknown key; did you mean "service"?'),
        ("config: {", "stacks/defaults.yaml:1: is not YAML"),
        ("config:\n\tslipway:service: {}", "stacks/defaults.yaml:2: is not YAML"),
    ],
)
def test_a_bad_file_of_defaults_is_refused(put: Put, shared: str, words: str):
    assert words in refusal(put, BASE, defaults=shared)


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The secrets the stack really has, by name, instead of a stand-in for each one it needs."""
    secrets: dict[str, str] = {}
    monkeypatch.setattr(recorder, "_secret_values", Mock(return_value=secrets))
    return secrets


# A stack that may go to prod, but for its secret.
STRICT = BASE.replace("source: build", "source: prebuilt\n    digest: sha256:" + "0" * 64).replace("min: 1", "min: 2")


@pytest.mark.parametrize(
    ("secret", "words"),
    [
        ("", "is missing or empty"),
        (" \n", "is missing or empty"),
        ("changeme", "is a placeholder"),
        ("Change-Me-1234567890!", "is a placeholder"),
        ("password", "is a placeholder"),
        ("your-secret-key-123", "is a placeholder"),
        ("xxxxxxxxxxxxxxxxxxxxxxxx", "is a placeholder"),
        ("***", "is a placeholder"),
        ("TODO", "is a placeholder"),
        ("1234567890123456", "is a placeholder"),
        ("kT9-vQ2_mR7+zL4", "is shorter than 32 characters"),
        ("kT9-vQ2_mR7+zL4wkT9-vQ2_mR7+zL4", "is shorter than 32 characters"),
    ],
)
@pytest.mark.feature("J3", part="no default secret")
@pytest.mark.feature("B9")
def test_a_secret_that_keeps_nothing_secret_is_refused_where_it_matters(
    put: Put, given: dict[str, str], secret: str, words: str
):
    given["signing-key"] = secret
    told = refusal(put, STRICT, "prod")
    assert f"slipway:signing-key: secret {words}; set" in told
    assert "pulumi config set --secret signing-key -s prod" in told
    assert len(secret.strip()) < 4 or secret not in told


@pytest.mark.parametrize("stack", ["staging", "prod-eu"])
@pytest.mark.feature("J3", part="no default secret")
def test_only_local_and_dev_may_have_a_placeholder(put: Put, given: dict[str, str], stack: str):
    given["signing-key"] = "changeme"
    assert "secret is a placeholder" in refusal(put, STRICT, stack)


def test_a_real_secret_is_accepted_in_prod_and_any_in_dev(put: Put, given: dict[str, str]):
    given["signing-key"] = "kT9-vQ2_mR7+zL4w" * 2
    assert put(STRICT, "prod").resources
    given["signing-key"] = "changeme" * 4
    assert put(BASE, "dev").resources


@pytest.mark.parametrize(("stack", "text"), [("dev", BASE), ("prod", STRICT)])
def test_a_secret_that_the_app_refuses_is_refused_in_every_environment(
    put: Put, given: dict[str, str], stack: str, text: str
):
    """With a shorter one the app does not start: dev may have a weak one, not one that keeps its pods from running."""
    given["signing-key"] = "kT9-vQ2_mR7+zL4w" * 2
    assert put(text, stack).resources
    given["signing-key"] = given["signing-key"][1:]
    assert "slipway:signing-key: secret is shorter than 32 characters; set another" in refusal(put, text, stack)


def test_a_secret_without_a_length_of_its_own_has_sixteen_characters_where_it_matters(put: Put, given: dict[str, str]):
    text = STRICT.replace("secrets: [signing-key]", "secrets: [signing-key, mail-token]")
    given |= {"signing-key": "kT9-vQ2_mR7+zL4w" * 2, "mail-token": "kT9-vQ2_mR7+zL4"}
    assert "slipway:mail-token: secret is shorter than 16 characters" in refusal(put, text, "prod")


def test_the_length_that_defaults_demand_is_the_app_s_own():
    source = (ROOT / "app" / "internal" / "config" / "secret.go").read_text()
    [shortest] = re.findall(r"shortestSigningKey = (\d+)", source)
    lengths = yaml.safe_load((ROOT / "stacks" / "defaults.yaml").read_text())["config"]["slipway:services"]["api"]
    assert lengths["secretLengths"] == {"signing-key": int(shortest), "signing-key-previous": int(shortest)}


def test_files_of_secrets_are_judged_as_well(put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A short one keeps the app from starting, and a Secret of more than 1 MiB is refused by the API server."""
    monkeypatch.setattr(recorder, "STAND_IN", "short")
    monkeypatch.setattr(recorder, "least_length", lambda *_: 0)
    text = edited("  slipway:image:", "  slipway:secretFiles: folder\n  slipway:image:")
    assert "signing-key is shorter than the 32 characters the app demands" in refusal(put, text)
    monkeypatch.setattr(recorder, "STAND_IN", "x" * (2**20 + 1))
    assert "signing-key has 1048577 bytes; a Secret holds 1048576" in refusal(put, text)


@pytest.mark.parametrize(
    ("stack", "words"),
    [
        ("d" * 56, "up to 55 letters, digits, `-`, `_` and `.`; this one has 56 characters"),
        ("d" * 100, "this one has 100 characters"),
        ("prod-", "up to 55 letters, digits, `-`, `_` and `.`"),
    ],
)
def test_a_stack_name_that_fits_no_label_is_one_mistake(put: Put, stack: str, words: str):
    """Every object carries it: without this one line there would be one for each object."""
    told = refusal(put, BASE, stack)
    assert "has 1 mistake;" in told
    assert words in told


@pytest.mark.parametrize("stack", ["d" * 55, "dev.eu", "Dev_2"])
def test_a_stack_name_that_fits_a_label_is_accepted(put: Put, stack: str):
    assert put(STRICT, stack).resources


def test_a_stack_whose_name_has_a_dot_is_among_those_there_are(
    put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.undo()
    monkeypatch.setattr(recorder, "ROOT", tmp_path)
    (tmp_path / "stacks").mkdir(exist_ok=True)
    for name in ("dev", "prod.eu", "prod.us.east"):
        (tmp_path / "stacks" / f"Pulumi.{name}.yaml").write_text(BASE)
    assert recorder.stacks() == ["dev", "prod.eu", "prod.us.east"]


def test_the_command_line_tells_a_mistake_without_a_traceback(
    put: Put, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    told = refusal(put, edited("max: 2}", "mx: 2}"))
    monkeypatch.setattr("sys.argv", ["slipway", "render", "-s", "dev"])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 1
    assert capsys.readouterr().err == f"error: {told}\n"
