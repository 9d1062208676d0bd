"""What the database keeps for readers of SQL: views, notes of changed rows."""
