"""The pages of fetching followers and profiles from WeChat."""
