"""The store: everything that pushprune reads from and writes to Redis.

Each write that must be atomic is a script in scripts/. The head of a script names its keys, of one repository
(`tags:R`, in the script `r.tags`) or shared (`due`, `all.due`), its arguments and its result. `Connection.run` supplies
the keys.
"""
