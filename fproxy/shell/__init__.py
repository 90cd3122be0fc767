"""The only layer with sockets: upstream connections and the client-facing server."""
