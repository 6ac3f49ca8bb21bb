"""`python -m service` is the command `pushprune`."""

from service.cli.main import main

main()
