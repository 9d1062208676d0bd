"""The table of keys that sign for this site."""

from __future__ import annotations

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.db import models
from django.utils.translation import gettext_lazy as _

from events.models.fields import EncryptedTextField

__all__ = ["SigningKey"]


class SigningKey(models.Model):
    """The RSA key that signs ID tokens (OpenID Connect), in one row."""

    pem = EncryptedTextField(editable=False)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    def __str__(self) -> str:
        return f"#{self.pk}"

    @classmethod
    def value(cls) -> str:
        """Returns the private key as PEM; makes it at the first use."""
        row = cls.objects.filter(pk=1).first()
        if row is None:
            key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
            pem = key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            row, _is_new = cls.objects.get_or_create(pk=1, defaults={"pem": pem.decode()})
        return str(row.pem)
