"""A Django project that receives pushes as wechatpy's documentation shows it, and stores them."""
