"""pushprune: the map of the house.

domain/      pure decisions: events, manifests, policy, retention, explanations. Values in, values out.
store/       Redis and nothing else. keys.py is the schema, scripts/*.lua every write that must be atomic.
registry/    the registry seen from outside: HTTP API, logging in, garbage-collect, the storage's layout.
settings/    typed settings: YAML + environment + secret files, and the policy in force.
leash.py     runs a child that dies with its parent.
origin.py    names a process and its kernel, so that no other is taken for it.
log.py       one event per line.
dispatch.py  task names and how to send them: the contract between the two edges.
undo.py      puts back what was deleted, or overwritten.
undoable.py  what an undo would put back.
byhand.py    deleting by hand: what would go, asking for it, what became of it.
holding.py   plans that wait for approval: letting one go on, or refusing it.
weight.py    how much the images hold together.
schedule.py  when a collection comes.
collecting.py  asking for a collection, and what is known of those that ran.
doctor/      looks at the running system and says what is wrong, with the line that mends it.
inventory.py  what there is and was: repositories, tags, where a tag stood when.
platforms.py  the platforms of images.
outlook.py   what the policy makes of the history: plans, explanations, previews.
clock.py     this machine's clock.
wiring.py    builds every collaborator once; the only place that knows them all.
web/         the HTTP edge.
cli/         the command line, one verb per file.
local/       `pushprune up` and `demo`: the whole system in one terminal.

Arrows: workers → dispatch, settings, wiring, store, registry, domain; web, cli → wiring, doctor, domain, dispatch;
wiring → settings, store, registry, dispatch; store → domain; registry → domain, leash, origin; settings → domain.
"""

__version__ = "0.1.0"
