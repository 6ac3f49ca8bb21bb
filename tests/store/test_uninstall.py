"""The command of the manual that deletes pushprune's keys, after it was uninstalled."""

import shutil
import subprocess

import pytest

from service.dispatch import Dispatch, celery_app, plan_message
from service.domain.events import Envelope
from service.store.connection import Connection
from service.store.history import History
from tests.fakes.valkey import Valkey
from tests.support import manual
from tests.support.record import event


@pytest.mark.slow
def test_the_command_of_uninstall_deletes_our_keys_and_no_others(connection: Connection, valkey: Valkey) -> None:
    prefix, client = connection.keys.prefix, connection.client
    History(connection).record_all([Envelope((event(1), event(2, tag="v2")), ())], plan_message)
    with celery_app(valkey.url, prefix) as app:
        Dispatch(lambda: app).delete("shop/api")
    ours, other = set(client.scan_iter(f"{prefix}*")), f"another-{prefix}key"
    client.set(other, "kept")
    assert {f"{prefix}tags:shop/api", f"{prefix}enforce", f"{prefix}delete"} <= ours
    (command,) = [line for line in manual.page("install").splitlines() if "UNLINK" in line]
    redis_cli = shutil.which("valkey-cli") or shutil.which("redis-cli")
    assert redis_cli, "redis-cli is missing; `make test` installs it as root on Debian"
    shell = command.replace("redis-cli", f"{redis_cli} -p {valkey.port}").replace("pushprune:", prefix)
    subprocess.run(["sh", "-c", shell], check=True, capture_output=True)
    assert set(client.scan_iter(f"*{prefix}*")) == {other}
    client.delete(other)
