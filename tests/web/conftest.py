"""The fixtures of the HTTP edge."""

from tests.support.edge import (
    compiled_once,
    edge,
    no_redis,
    pruned,
    redis_server,
    registry,
    serve,
    serve_over_valkey,
)

__all__ = ["compiled_once", "edge", "no_redis", "pruned", "redis_server", "registry", "serve", "serve_over_valkey"]
