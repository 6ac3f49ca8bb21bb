"""The HTTP edge.

app.py            the applications of the web process and of the gate process
gate.py           /gate: answers the proxy that asks before every write to the registry
notifications.py  POST /notifications: receives the events of the registry
api/              /api/v1: queries and changes
pages/            the dashboard: pages for people
docs.py           /openapi.json and /docs
metrics.py        /metrics
health.py         /livez and /readyz
access.py         tokens and the rights that they give
session.py        sessions of the dashboard, and protection against cross-site requests
proxy.py          headers and path prefix of a proxy in front of the dashboard
attempts.py       failed logins
body.py           reading of JSON bodies
models.py         base classes of requests and answers
problems.py       errors as problem documents
trials.py         limits for previews of a policy
server.py         waitress, with deadlines and limits on connections
pools.py          the threads that answer requests
commands.py       `pushprune web` and `pushprune gate`: start the two processes of the edge
"""
