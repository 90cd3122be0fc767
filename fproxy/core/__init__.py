"""The rules of the proxy, without I/O: bytes and values in, bytes and values out."""
