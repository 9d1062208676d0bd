"""The pages of accounts: settings, secrets, the doctor."""
