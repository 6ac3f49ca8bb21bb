"""Documents that users write: YAML, JSON and requests, and sentences about the errors in them.

reader.py   the values of a YAML or JSON text, with the line of every key
refusal.py  a validation error as one sentence with its place, its key and the nearest valid word
"""
