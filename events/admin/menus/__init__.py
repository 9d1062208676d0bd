"""The pages of menus: writing, publishing, what followers see."""
