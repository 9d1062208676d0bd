"""A Django project with wechat-django from PyPI, mounted as its documentation says."""
