"""pushprune: one folder per capability, three thin edges.

What pushprune does:

    ingest/     record what the registry reports
    prune/      delete old images: plan, recheck, delete, untag, heal; manual deletions; approvals
    collect/    garbage collection: when, wait for pushes, rehearse, run, verify; online/: while clients push
    reconcile/  compare the history with the registry
    usage/      measure the storage that images use: images, repositories, all together
    restore/    restore deleted images from the trash
    backup/     export what Redis holds to a file, and import it again
    reports/    what users ask: inventory, verdicts, platforms, disk usage
    webhooks/   send pushprune's own events to other systems
    answers/    the models of the API's and the command line's JSON

What that builds on:

    domain/     pure decisions: names, policy, retention, simulation, collections; no input or output
    store/      Redis and nothing else; keys.py is the schema, scripts/ holds every atomic write
    registry/   the registry from outside: HTTP client, logins, storage, collector, debug server
    documents/  YAML and JSON with the line of every key, and sentences about errors in them
    process/    the identity of a process, and children that end with their parent
    tracing/    traces by OpenTelemetry, if the environment asks for them
    settings/   typed settings from YAML, environment and secret files
    importers/  retention policies of other tools, translated

How it is reached:

    web/        notifications, API, dashboard, metrics, write gate
    cli/        the command line, one verb per file
    local/      `pushprune up` and `demo`: the whole system in one terminal
    doctor/     checks of the running system, each with the fix

    wiring.py    builds every collaborator once
    registry_wiring.py   builds the registry with its storage, its collector and its debug server
    registry_clients.py  builds the clients of the registry; the first request of `--registry` needs nothing else
    dispatch.py  task names, and how to send a task to the workers
    broker.py    Celery's connection to Redis, which survives a Redis that refuses
    cron.py      the times of a cron schedule
    clock.py     the clock of this machine
    log.py       one event per line

The queue edge is the package `workers`. Import-linter holds the arrows: see [tool.importlinter] in pyproject.toml.
"""

# The only place of the version: pyproject.toml reads it from here.
__version__ = "0.1.0"
