"""What WeChat lends an account, and how the account was found."""
