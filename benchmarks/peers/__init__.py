"""The peers of the product, each written as its own documentation shows it.

Every peer runs in the environment `benchmarks/.venv`, with this folder as working directory. The
account's secrets and the database come from environment variables (contest/contestant.py).
"""
