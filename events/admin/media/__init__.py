"""The media library, and choosing one of its files."""
