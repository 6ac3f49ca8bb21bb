"""A backup: everything worth keeping of what Redis holds, as lines of JSON in a file.

lines.py      the first line, the last line, and the values between them
values.py     what each value must be like
export.py     write a backup
importing.py  check a backup, and replace the store by it
"""
