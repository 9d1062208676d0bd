"""The pages about fetching followers and profiles from WeChat."""
