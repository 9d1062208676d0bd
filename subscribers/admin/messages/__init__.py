"""The pages of messages: writing one, the list, searching what was said."""
