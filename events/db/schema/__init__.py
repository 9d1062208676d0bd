"""Makes tables, triggers and views: what the migrations use, and what follows each `migrate`."""
