"""WeChat's own daily figures, beside ours, with the reasons of a difference."""
