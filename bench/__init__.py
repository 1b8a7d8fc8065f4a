"""How fast the server is on this machine, beside a bare floor measured in the same run."""
