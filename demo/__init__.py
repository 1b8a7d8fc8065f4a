"""`make demo`: one diary, two devices, and a server that keeps them in step and cannot read it."""
