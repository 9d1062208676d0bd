"""The tables of an account's tokens and rights at WeChat, and of the doctor's findings."""
