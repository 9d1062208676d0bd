"""The tables of statistics, and of pushes to judge again."""
