"""Finds secrets in what a stack wrote to its logs."""

from support.log_scan import LogScan
from support.stack_base import Stack


def leaked(stack: Stack) -> list[str]:
    """Where in the logs a secret stands, as `file:line: what is before it: kind`."""
    return [str(place) for place in LogScan(stack.secrets).places(stack.log_files())]
