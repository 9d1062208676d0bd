"""Who may do what here, what they did, and the keys of programs."""
