"""A port, taken before there is anything to serve on it."""

import socket


def listen(host: str, port: int) -> socket.socket:
    """Take a port now, to be served later; raises `OSError` if it is taken.

    Who connects meanwhile waits. A port that is bound only is not taken: others who reuse addresses, as the servers do
    that are started next, could still listen on it.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol by name: asyncio sets TCP_NODELAY only where it is, and without it answers wait 40 ms for an ACK.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener
