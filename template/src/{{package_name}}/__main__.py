"""Run the command line as `python -m <package>`."""

from .cli import main

main()
