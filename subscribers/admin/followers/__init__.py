"""The pages of followers: list, filters, segments, exports, tags, one person's data."""
