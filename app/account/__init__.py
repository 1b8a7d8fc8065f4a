"""An account as a whole: what is held of it, all of it in one file, and its end."""
