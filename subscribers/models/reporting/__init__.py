"""Parts of the database for other readers: views for SQL, and notes of changed rows for the API."""
