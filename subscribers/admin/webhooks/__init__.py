"""The pages of webhooks and of the deliveries to them."""
