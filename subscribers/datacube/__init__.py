"""WeChat's own daily figures beside ours, with the reasons for a difference."""
