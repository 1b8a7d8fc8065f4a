"""How much of anything one address, account or device may ask for, and in what time."""
