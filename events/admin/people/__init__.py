"""The pages of programs' keys, and the list of what users and keys did."""
