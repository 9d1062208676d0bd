"""The pages of webhooks and of what was delivered to them."""
