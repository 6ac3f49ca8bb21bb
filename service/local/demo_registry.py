"""The demo's own registry: CNCF Distribution with a temporary storage, which reports every push to pushprune."""

from collections.abc import Mapping
from pathlib import Path

from service.local.ports import free_port
from service.local.supervisor import Child
from service.process.child_environment import child_environment

# No blob-descriptor cache: with a cache, the registry would claim that collected blobs still exist.
CONFIG = """\
version: 0.1
log: {{level: warn, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: {storage}}}
  delete: {{enabled: true}}
http: {{addr: "127.0.0.1:{port}"}}
"""


class DemoRegistry:
    """A registry on a free port, with all its files in `directory`."""

    def __init__(self, binary: Path, directory: Path) -> None:
        self._binary = binary
        self._config = directory / "registry.yml"
        self._port = free_port()
        self.storage = directory / "registry"
        self.url = f"http://127.0.0.1:{self._port}"

    @property
    def collect_command(self) -> list[str]:
        """The command that collects its garbage."""
        return [str(self._binary), "garbage-collect", str(self._config)]

    def child(self, environ: Mapping[str, str], notifications: str) -> Child:
        """Write the configuration with this `notifications:` block, and return the process to run."""
        self.storage.mkdir()
        self._config.touch(mode=0o600)
        self._config.write_text(CONFIG.format(storage=self.storage, port=self._port) + notifications)
        # Without this, version 3 tries to send traces to an OpenTelemetry collector and logs errors.
        environ = {**child_environment(environ), "OTEL_TRACES_EXPORTER": "none"}
        return Child("registry", (str(self._binary), "serve", str(self._config)), environ)

    def stored_bytes(self) -> int:
        """Return the bytes of all files in its storage."""
        return sum(file.stat().st_size for file in self.storage.rglob("*") if file.is_file())
