"""Keys of programs, and the list of what users and keys did."""
