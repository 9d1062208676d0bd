"""Jobs and lists about followers: profiles, tags, exports, segments, syncs."""
