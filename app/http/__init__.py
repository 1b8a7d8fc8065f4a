"""What stands between the socket and a route: strict parsing, caps, headers."""
