"""The pages of accounts: what WeChat must know, secrets, the doctor."""
