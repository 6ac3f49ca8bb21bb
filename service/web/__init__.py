"""The HTTP edge.

app.py            the applications of the web process and of the gate process
gate.py, gatekeeper.py  /gate: whether a write may pass to the registry
notifications.py  POST /notifications: what the registry tells
api/              /api/v1: what may be asked and changed
pages/            the dashboard: pages for people
docs.py           /openapi.json and /docs
metrics.py        /metrics
health.py         /livez and /readyz
access.py         who may do what
session.py        who is signed in at the dashboard, and whose wish a change is
proxy.py          the proxy in front of it
attempts.py       failed logins
body.py           how JSON is read
models.py         what questions and answers have in common
problems.py       errors as problem documents
trials.py         the bounds of trying a policy
server.py         waitress, with deadlines and bounds
commands.py       `pushprune web` and `pushprune gate`: how the two processes of the edge are started
"""
