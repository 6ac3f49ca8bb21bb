"""Redis and nothing else.

Each write that must be atomic is a script in scripts/: its head names the keys, of one repository (`tags:R`, in the
script `r.tags`) or shared (`due`, `all.due`), and gives arguments and result. `Connection.run` fills them in.
"""
