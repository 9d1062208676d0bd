"""Alerts tell operators what is wrong: one message when it begins, one when it is over."""
