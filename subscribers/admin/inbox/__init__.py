"""The inbox: who waits for an answer, and the conversation with them."""
