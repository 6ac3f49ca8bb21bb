"""An S3 server in memory (moto), as a process of its own, and the registry's configuration for it."""

import subprocess
import sys
from pathlib import Path
from typing import Any, Self

import requests

from service.process.die_with_parent import die_with_parent
from service.registry.bucket import Bucket, open_bucket
from service.registry.objects import ObjectStore
from tests.fakes.valkey import free_port
from tests.support.waiting import until

BUCKET = "registry"


class S3Server:
    """moto's server with one empty bucket, from `with` until its end.

    config: the registry's, to be merged into RealRegistry's; prefix: its `rootdirectory`.
    """

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix
        self.port = str(free_port())
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._start("moto.server", "-H", "127.0.0.1", "-p", self.port)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def _start(self, module: str, *arguments: str) -> None:
        """Start a server of this module, and wait until it has the bucket."""
        self._process = subprocess.Popen(
            die_with_parent([sys.executable, "-m", module, *arguments]),
            cwd=Path(__file__).parents[2], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        until(self._has_bucket, "the S3 server does not answer")

    def _has_bucket(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "the S3 server ended"
        try:
            return requests.put(f"{self.url}/{BUCKET}", timeout=5).ok
        except requests.RequestException:
            return False

    @property
    def settings(self) -> dict[str, Any]:
        """pushprune's `storage` section."""
        return {
            "url": f"s3://{BUCKET}/{self.prefix}".rstrip("/"),
            "endpoint": self.url,
            "region": "us-east-1",
            "access_key": "test",
            "secret_key": "testtest",
        }

    @property
    def config(self) -> dict[str, Any]:
        """The registry's configuration."""
        s3 = {
            "accesskey": "test",
            "secretkey": "testtest",
            "region": "us-east-1",
            "regionendpoint": self.url,
            "forcepathstyle": True,
            "secure": False,
            "skipverify": True,
            "v4auth": True,
            "bucket": BUCKET,
            "rootdirectory": f"/{self.prefix}",
        }
        return {"storage": {"filesystem": None, "s3": s3, "redirect": {"disable": True}}}

    def objects(self) -> ObjectStore:
        """The bucket as pushprune sees it."""
        return open_bucket(Bucket(**self.settings))
