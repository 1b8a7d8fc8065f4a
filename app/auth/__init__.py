"""Who is asking: device keys, sessions, proofs, pairing."""
