"""Who is at the command line, for the history."""

import getpass


def login_name() -> str:
    """The user's login name."""
    try:
        return getpass.getuser()[:64]
    except (OSError, KeyError):  # a numeric user without a name, as in a container
        return "command line"
