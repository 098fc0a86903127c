"""Defects somebody writes into a stack file."""

from __future__ import annotations

from tests.mutants.seeding import in_stack_file

INGRESS = "services.api.ingress"
CLOCK = {"args": ["report"], "cron": "0 1 * * *"}
SERVICE = {"ingress": {"host": "api.example.com", "tls": {"issuer": "letsencrypt"}}}

STACK_FILES = [
    in_stack_file("min > max", {"services.api.autoscaling": {"min": 5, "max": 3}}),
    in_stack_file("one pod in prod", {"services.api.autoscaling": {"min": 1, "max": 3}}),
    in_stack_file("no pod", {"services.api.autoscaling": {"min": 0, "max": 3}}),
    in_stack_file(
        "a fixed number and an autoscaler", {"services.api.replicas": 3, "services.api.autoscaling": {"min": 2}}
    ),
    in_stack_file("prod without TLS", {f"{INGRESS}.tls": None}),
    in_stack_file("a certificate from two places", {f"{INGRESS}.tls": {"issuer": "a", "secretName": "b"}}),
    in_stack_file("prod builds its own image", {"image": {"source": "build", "repository": "a.example.com/b"}}),
    in_stack_file(
        "a digest of 12 digits",
        {"image": {"source": "prebuilt", "repository": "a.example.com/b", "digest": "sha256:123456789012"}},
    ),
    in_stack_file("a tag in the repository", {"image.repository": "registry.example.com/slipway/api:latest"}),
    in_stack_file("memory without a unit", {"services.api.resources.memory": "256"}),
    in_stack_file("memory as a number", {"services.api.resources.memory": 256}),
    in_stack_file("CPU below zero", {"services.api.resources.cpu": "-1"}),
    in_stack_file("CPU request above its limit", {"services.api.resources": {"cpu": "2", "cpuLimit": "1"}}),
    in_stack_file("no time to drain", {"services.api.drain": {"preStopSeconds": 0, "delaySeconds": 0}}),
    in_stack_file("answers cut off by the drain", {"services.api.drain": {"shutdownSeconds": 5}}),
    in_stack_file("a key that is misspelt", {"services.api.autoscaling": {"mni": 2}}),
    in_stack_file("a section nobody reads", {"scaling": {"min": 2}}),
    in_stack_file("a URL for a host", {f"{INGRESS}.host": "https://api.example.com"}),
    in_stack_file("a host in capitals", {f"{INGRESS}.host": "API.example.com"}),
    in_stack_file("a path without its slash", {f"{INGRESS}.path": "v1"}),
    in_stack_file("one address for two services", {"services.web": SERVICE}),
    in_stack_file("a need nobody meets", {"services.api.needs": ["mongo"]}),
    in_stack_file("a service that needs itself", {"services.api.needs": ["api"]}),
    in_stack_file("a schedule at hour 25", {"services.api.schedules": {"a": {**CLOCK, "cron": "0 25 * * *"}}}),
    in_stack_file("a time zone that is none", {"services.api.schedules": {"a": {**CLOCK, "timeZone": "Asia/Tokio"}}}),
    in_stack_file("a job without a command", {"services.api.migration": {"args": []}}),
    in_stack_file("a schedule named like the migration", {"services.api.schedules": {"migration": CLOCK}}),
    in_stack_file("a variable the app does not know", {"services.api.env": {"LOG_LEVL": "debug"}}),
    in_stack_file("a variable the program sets", {"services.api.env": {"HTTP_PORT": "80"}}),
    in_stack_file("a password for a variable", {"services.api.env": {"DB_PASSWORD": "hunter22"}}),
    in_stack_file("a password in the file", {"services.api.file": {"db": {"password": "hunter22"}}}),
    in_stack_file("a secret that is empty", {"signing-key": ""}),
    in_stack_file("a secret in clear", {"signing-key": "hunter22"}, "dev"),
    in_stack_file("a quota too small for a rollout", {"quota": {"pods": 3}}),
    in_stack_file("a range that is none", {"services.api.egress": [{"cidr": "10.0.0.300/8", "ports": [443]}]}),
    in_stack_file("a port above 65535", {"services.api.egress": [{"cidr": "10.0.0.0/8", "ports": [70000]}]}),
    in_stack_file(
        "plain HTTP at a Gateway",
        {INGRESS: {"host": "api.example.com", "gateway": {"name": "a", "namespace": "b", "listener": "http"}}},
    ),
    in_stack_file(
        "secrets from two places", {"secretStore": {"name": "a", "entries": "values"}, "secretFiles": "secrets"}
    ),
    in_stack_file("a cluster without a context", {"cluster": {}}),
    in_stack_file("a namespace of the cluster's own", {"namespace": "kube-system"}),
    in_stack_file("no service", {"services": {"api": None}}),
    in_stack_file(
        "a waiver that has run out",
        {"waivers": [{"rule": "SW012", "reason": "for a while only", "until": "2020-01-01"}]},
    ),
    in_stack_file(
        "a waiver of no rule", {"waivers": [{"rule": "SW999", "reason": "for a while only", "until": "2099-01-01"}]}
    ),
]
