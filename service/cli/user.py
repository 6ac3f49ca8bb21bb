"""The user of the command line, for the history."""

import getpass


def login_name() -> str:
    """Return the user's login name."""
    try:
        return getpass.getuser()[:64]
    # A container may run under a numeric user without a name.
    except (OSError, KeyError):
        return "command line"
