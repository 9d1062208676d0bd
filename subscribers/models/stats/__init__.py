"""Roll-ups of followers and codes, and WeChat's own figures."""
