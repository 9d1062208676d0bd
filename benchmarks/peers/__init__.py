"""The peers of the product, each written as its own documentation shows it.

Every peer runs in the environment `benchmarks/.venv`, with this folder as its working directory. It
gets the account's secrets and the database from environment variables (contest/contestant.py).
"""
