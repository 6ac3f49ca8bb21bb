"""Processes that pushprune starts or that share its work.

identity.py           names a process, so that its death can be proved
die_with_parent.py    starts a child process that ends with its parent
child_environment.py  the environment of the commands that pushprune runs, without its secrets
"""
