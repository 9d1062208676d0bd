"""The tables of users' rights, of what they did, and of programs' keys."""
