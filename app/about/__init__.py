"""What this server is, and whether it is well."""
