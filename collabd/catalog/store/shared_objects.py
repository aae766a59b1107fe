"""Shared packages in a bucket of S3, or of an object store that speaks its protocol.

boto3 finds credentials, region and address (`AWS_ENDPOINT_URL`) where it always does. What is no longer used is for a
rule of the bucket's life cycle to delete.
"""

from __future__ import annotations

import logging
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from collabd.catalog.package.package import Package
from collabd.catalog.store.bundle import is_digest, pack

log = logging.getLogger(__name__)

# Somebody waits: a device for its package, or for an answer.
_PATIENCE = Config(connect_timeout=3, read_timeout=20, retries={"total_max_attempts": 3, "mode": "standard"})
_ABSENT = {"NoSuchKey", "404"}
_Failed = (BotoCoreError, ClientError, OSError)


class SharedObjects:
    """The archives in `bucket` whose names begin with `prefix`. Any thread may use it."""

    def __init__(self, bucket: str, prefix: str) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._s3: Any = boto3.client("s3", config=_PATIENCE)

    def check(self) -> None:
        """Log if the bucket cannot be used."""
        try:
            self._s3.head_bucket(Bucket=self._bucket)
        except _Failed as error:
            log.error("packages are not shared: s3://%s: %s", self._bucket, error)  # noqa: TRY400

    def put(self, package: Package) -> None:
        """Keep an archive of a package that passed its checks. An object is there whole or not at all."""
        try:
            if not self._has(package.digest):
                self._s3.put_object(Bucket=self._bucket, Key=self._key(package.digest), Body=pack(package))
        except _Failed as error:
            log.warning("%s is not shared with other companions: %s", package.digest, error)

    def get(self, digest: str, most_bytes: int) -> bytes | None:
        """The archive of the package of this digest; None: it is not there, too large, or cannot be read."""
        if not is_digest(digest):
            return None
        try:
            found = self._s3.get_object(Bucket=self._bucket, Key=self._key(digest))
            with found["Body"] as body:
                data: bytes = body.read(most_bytes + 1)
        except _Failed as error:
            if not _is_absent(error):
                log.warning("%s cannot be had from other companions: %s", digest, error)
            return None
        return data if len(data) <= most_bytes else None

    def discard(self, digest: str) -> None:
        """Delete an archive that failed its checks."""
        try:
            self._s3.delete_object(Bucket=self._bucket, Key=self._key(digest))
        except _Failed as error:
            log.warning("%s, which is damaged, cannot be deleted: %s", digest, error)

    def _has(self, digest: str) -> bool:
        try:
            self._s3.head_object(Bucket=self._bucket, Key=self._key(digest))
        except ClientError as error:
            if _is_absent(error):
                return False
            raise
        return True

    def _key(self, digest: str) -> str:
        return f"{self._prefix}{digest.replace(':', '-')}.tar"


def _is_absent(error: Exception) -> bool:
    return isinstance(error, ClientError) and error.response["Error"]["Code"] in _ABSENT
