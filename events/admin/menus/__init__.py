"""The pages of menus: write, publish, and see the menu that followers see."""
