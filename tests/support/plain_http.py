"""What a client of plain HTTP needs of TLS: nothing."""

import ssl

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Trusts nobody. A client that is not told so reads all the machine's certificates: 20 ms, each time one is made."""
