"""Defects in configuration, secrets and jobs."""

from __future__ import annotations

from tests.faults import GONE, put
from tests.mutants.seeding import again, in_objects

API = "Deployment/api spec"
POD = f"{API}.template.spec"
BOX = f"{POD}.containers[0]"
JOB = "Job/api-migration spec"
CRON = "CronJob/api-report spec"


CONFIG = [
    in_objects("a password in a ConfigMap", put("ConfigMap/api-file data.DB_PASSWORD", "hunter22")),
    in_objects("a password in a variable", put(f"{BOX}.env[2]", {"name": "DB_PASSWORD", "value": "hunter22"})),
    in_objects(
        "a password in the file", put("ConfigMap/api-file data", {"config.yaml": "db:\n  password: hunter22\n"})
    ),
    in_objects(
        "a password in a URL", put("ConfigMap/api-file data", {"config.yaml": "db: mysql://app:hunter22@db/app\n"})
    ),
    in_objects("a token among the arguments", put(f"{BOX}.args", ["--token=hunter22"])),
    in_objects(
        "a private key in a ConfigMap",
        put("ConfigMap/api-file data", {"config.yaml": "-----BEGIN PRIVATE KEY-----\n"}),
    ),
    in_objects("a Secret's value in clear", put("Secret/api-secret stringData.signing-key", "hunter22")),
    in_objects(
        "a secret as a variable",
        put(
            f"{BOX}.env[2]",
            {"name": "K", "valueFrom": {"secretKeyRef": {"name": "api-secret", "key": "signing-key"}}},
        ),
    ),
    in_objects("a whole Secret as variables", put(f"{BOX}.envFrom[1]", {"secretRef": {"name": "api-secret"}})),
    in_objects("secret files everybody may read", put(f"{POD}.volumes[1].secret.defaultMode", 0o444)),
    in_objects("variables that can change under running pods", put("ConfigMap/api-env immutable", GONE)),
    in_objects("a Secret that can change under running pods", put("Secret/api-secret immutable", GONE)),
    in_objects("the reloadable file can never change", put("ConfigMap/api-file immutable", True)),
    in_objects("variables change, and no pod rolls", put("ConfigMap/api-env data.LOG_LEVEL", "debug")),
    in_objects("a variable that is set twice", put(f"{BOX}.env[2]", {"name": "LOG_LEVEL", "value": "debug"})),
    in_objects("a variable that is no text", put("ConfigMap/api-env data.HTTP_PORT", 8080)),
    in_objects("variables of other Services", put(f"{POD}.enableServiceLinks", GONE)),
    in_objects("a ConfigMap nobody reads", again("ConfigMap/api-file", "b")),
    in_objects("the record of a release that could be changed", put("ConfigMap/release immutable", False)),
    in_objects(
        "the record of a release under the name of another", put("ConfigMap/release metadata.name", "release-00000000")
    ),
]

JOBS = [
    in_objects("a job that restarts for ever", put(f"{JOB}.template.spec.restartPolicy", "Always"), "jobs"),
    in_objects("a job without a deadline", put(f"{JOB}.activeDeadlineSeconds", GONE), "jobs"),
    in_objects("a schedule that overlaps itself", put(f"{CRON}.concurrencyPolicy", "Allow"), "jobs"),
    in_objects("a schedule that stops after missed runs", put(f"{CRON}.startingDeadlineSeconds", GONE), "jobs"),
    in_objects("a schedule that keeps every pod", put(f"{CRON}.successfulJobsHistoryLimit", GONE), "jobs"),
    in_objects("a schedule of four fields", put(f"{CRON}.schedule", "30 3 * *"), "jobs"),
    in_objects("a schedule at minute 90", put(f"{CRON}.schedule", "90 3 * * *"), "jobs"),
    in_objects("a time zone that is none", put(f"{CRON}.timeZone", "Tokio"), "jobs"),
    in_objects("a job with a tag for an image", put(f"{JOB}.template.spec.containers[0].image", "api:1"), "jobs"),
    in_objects("a job with another Secret", put(f"{JOB}.template.spec.volumes[1].secret.secretName", "a"), "jobs"),
    in_objects("a job under another identity", put(f"{JOB}.template.spec.serviceAccountName", "default"), "jobs"),
]
