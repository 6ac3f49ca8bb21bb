"""Task names and how to send them: the contract between the two edges. A message only says "look at repository R"."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from service.log import log
from service.store.connection import ANSWER_S
from service.store.redis_url import sentinel_address, tls_options

if TYPE_CHECKING:
    from celery import Celery

ENFORCE = "pushprune.enforce"
DELETE = "pushprune.delete"
COLLECT = "pushprune.collect"
RECONCILE = "pushprune.reconcile"

QUEUES = {ENFORCE: "enforce", DELETE: "delete", COLLECT: "garbage", RECONCILE: "reconcile"}


def celery_app(redis_url: str, prefix: str) -> Celery:
    """A Celery application over Redis. Early acknowledgement and no results: the outbox recovers what gets lost."""
    # Imported here: a verb without a service sends nothing, and Celery takes a third of the start of a process.
    from celery import Celery

    from service.broker import register

    register()
    watched = sentinel_address(redis_url)
    app = Celery("pushprune", broker=broker_url(redis_url))
    app.conf.update(
        task_routes={task: {"queue": queue} for task, queue in QUEUES.items()},
        task_default_queue="enforce",
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        task_acks_late=False,
        task_publish_retry=False,
        worker_prefetch_multiplier=1,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        # No effect, as all tasks are acknowledged early. Without it, Celery logs a warning at each reconnect.
        worker_cancel_long_running_tasks_on_connection_loss=True,
        broker_connection_retry=True,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            "global_keyprefix": prefix,
            # A worker that ends while Redis is silent waits this long. kombu blocks Redis for one second at a time.
            "socket_timeout": ANSWER_S,
            "socket_connect_timeout": 3,
            "socket_keepalive": True,
            "max_retries": None,
            **({"master_name": watched.service, "sentinel_kwargs": watched.sentinel_options} if watched else {}),
        },
    )
    if tls := tls_options(redis_url):
        app.conf.broker_use_ssl = {"ssl_cert_reqs": "required"} | {name: tls[name] for name in tls if name != "ssl"}
    return app


def broker_url(redis_url: str) -> str:
    """Return a URL of Redis as kombu spells it, without options for TLS."""
    if watched := sentinel_address(redis_url):
        login, at, _ = urlsplit(watched.server).netloc.rpartition("@")
        database = urlsplit(watched.server).path
        return ";".join(f"sentinel://{login}{at}{host}:{port}{database}" for host, port in watched.hosts)
    if redis_url.startswith("unix:"):
        return "redis+socket" + redis_url.removeprefix("unix")
    return redis_url.partition("?")[0] if redis_url.startswith("rediss:") else redis_url


_OPTIONS = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
_HEADERS: dict[str, Any] = {
    "lang": "py", "task": ENFORCE, "id": "ID", "shadow": None, "eta": None, "expires": None, "group": None,
    "group_index": None, "retries": 0, "timelimit": [None, None], "root_id": "ID", "parent_id": None,
    "argsrepr": "('REPOSITORY',)", "kwargsrepr": "{}", "origin": "record", "ignore_result": False,
    "replaced_task_nesting": 0, "stamped_headers": None, "stamps": {},
}  # fmt: skip
_PROPERTIES = {
    "correlation_id": "ID", "reply_to": "ID", "delivery_mode": 2, "priority": 0, "body_encoding": "base64",
    "delivery_info": {"exchange": "", "routing_key": QUEUES[ENFORCE]}, "delivery_tag": "ID",
}  # fmt: skip
_MESSAGE = json.dumps(
    {"body": "BODY", "content-encoding": "utf-8", "content-type": "application/json"}
    | {"headers": _HEADERS, "properties": _PROPERTIES}
)


def plan_message(repository: str) -> str:
    """Return the task that plans a repository, as Celery's Redis transport stores it in the list `enforce`.

    A script that makes a repository due stores it in the same call, so that no message is lost in between. The format
    is that of Celery's message protocol 2 in kombu's virtual transport. No name of a repository has capital letters.
    """
    body = base64.b64encode(json.dumps([[repository], {}, _OPTIONS]).encode()).decode()
    message = _MESSAGE.replace('"ID"', f'"{uuid.uuid4()}"').replace("REPOSITORY", repository)
    return message.replace('"BODY"', f'"{body}"')


class Dispatch:
    """The sender of messages. A message that cannot be sent is no loss: the sweep sends it again."""

    def __init__(self, open_app: Callable[[], Celery]) -> None:
        """open_app: called at the first message."""
        self._open_app = open_app

    @cached_property
    def app(self) -> Celery:
        """The Celery application."""
        return self._open_app()

    def enforce(self, repository: str) -> None:
        """Send the task that plans this repository."""
        self._send(ENFORCE, repository)

    def delete(self, repository: str) -> None:
        """Send the task that deletes the doomed images of this repository."""
        self._send(DELETE, repository)

    def collect(self) -> None:
        """Send the task that runs the requested collection."""
        self._send(COLLECT)

    def reconcile(self) -> None:
        """Send the task that starts or continues a reconcile run."""
        self._send(RECONCILE)

    def _send(self, task: str, *args: Any) -> None:
        from kombu.exceptions import OperationalError

        try:
            self.app.signature(task, args=args).apply_async(queue=QUEUES[task], retry=False)
        except (OperationalError, OSError) as error:
            log.warning("a task was not queued; it is queued again soon", task=task, error=str(error)[:200])
