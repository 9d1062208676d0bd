"""The pages of the media library, and the field that chooses a file."""
