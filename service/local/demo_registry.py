"""The demo's own registry: CNCF Distribution with its storage in a temporary directory, telling us of every push."""

from collections.abc import Mapping
from pathlib import Path

from service.child_environment import child_environment
from service.local.ports import free_port
from service.local.supervisor import Child

# No blob-descriptor cache: with one, the registry would go on claiming blobs that a collection took away.
CONFIG = """\
version: 0.1
log: {{level: warn, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: {storage}}}
  delete: {{enabled: true}}
http: {{addr: "127.0.0.1:{port}"}}
"""


class DemoRegistry:
    """A registry on a free port; everything of it lies in `directory`."""

    def __init__(self, binary: Path, directory: Path) -> None:
        self._binary = binary
        self._config = directory / "registry.yml"
        self._port = free_port()
        self.storage = directory / "registry"
        self.url = f"http://127.0.0.1:{self._port}"

    @property
    def collect_command(self) -> list[str]:
        """What collects its garbage."""
        return [str(self._binary), "garbage-collect", str(self._config)]

    def child(self, environ: Mapping[str, str], notifications: str) -> Child:
        """Write the configuration with this `notifications:` block in it; the process to keep running."""
        self.storage.mkdir()
        self._config.touch(mode=0o600)
        self._config.write_text(CONFIG.format(storage=self.storage, port=self._port) + notifications)
        # Version 3 would look for a collector of traces.
        environ = {**child_environment(environ), "OTEL_TRACES_EXPORTER": "none"}
        return Child("registry", (str(self._binary), "serve", str(self._config)), environ)

    def stored_bytes(self) -> int:
        """Bytes of all files in its storage."""
        return sum(file.stat().st_size for file in self.storage.rglob("*") if file.is_file())
