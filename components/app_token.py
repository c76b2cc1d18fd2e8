"""The JSON Web Token by which a GitHub App says who it is.

https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-json-web-token-jwt-for-a-github-app

Signed here with Python's integers alone, for one question in a preview: a library for it would bring four packages to
everybody's `pulumi up`. The tests verify it with PyJWT.
"""

import base64
import hashlib
import json
import re
import time

_SHA256 = bytes.fromhex("3031300d060960864801650304020105000420")
"""DigestInfo of SHA-256: RFC 8017, section 9.2, note 1."""
_SEQUENCE, _INTEGER, _OCTETS = 0x30, 0x02, 0x04


def make_app_token(app_id: str, private_key: str, *, now: float | None = None) -> str:
    """A token that is valid for nine minutes.

    :param app_id: the App's id or client ID.
    :param private_key: RSA key in PEM form, PKCS#1 as GitHub hands it out, or PKCS#8.
    :param now: seconds since the epoch.
    :raises ValueError: if it is no such key.
    """
    now = int(time.time() if now is None else now)
    # A clock that is ahead of GitHub's would make a token of the future.
    claims = {"iat": now - 60, "exp": now + 540, "iss": app_id}
    parts = [_encode(json.dumps(part).encode()) for part in ({"alg": "RS256", "typ": "JWT"}, claims)]
    message = ".".join(parts)
    return f"{message}.{_encode(_sign(message.encode(), *_read_key(private_key)))}"


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _sign(message: bytes, modulus: int, exponent: int) -> bytes:
    """RSASSA-PKCS1-v1_5 with SHA-256: RFC 8017, section 8.2.1."""
    size = (modulus.bit_length() + 7) // 8
    digest = _SHA256 + hashlib.sha256(message).digest()
    padded = b"\x00\x01" + b"\xff" * (size - len(digest) - 3) + b"\x00" + digest
    return pow(int.from_bytes(padded), exponent, modulus).to_bytes(size)


def _read_key(pem: str) -> tuple[int, int]:
    """Modulus and private exponent: RFC 8017, appendix A.1.2; in PKCS#8 (RFC 5958) the same is in a wrapping."""
    found = re.search(r"-----BEGIN (RSA )?PRIVATE KEY-----([^-]+)-----END", pem)
    if found is None:
        raise ValueError("no RSA private key in PEM form")
    fields = _read_sequence(base64.b64decode(found[2]))
    if found[1] is None:
        fields = _read_sequence(next(content for tag, content in fields if tag == _OCTETS))
    numbers = [int.from_bytes(content) for tag, content in fields if tag == _INTEGER]
    if len(numbers) < 9:
        raise ValueError("no RSA private key")
    return numbers[1], numbers[3]


def _read_sequence(der: bytes) -> list[tuple[int, bytes]]:
    """Tag and content of each part of a DER sequence."""
    ((tag, content),) = _read_values(der)
    if tag != _SEQUENCE:
        raise ValueError("no DER sequence")
    return _read_values(content)


def _read_values(der: bytes) -> list[tuple[int, bytes]]:
    found, at = [], 0
    while at < len(der):
        tag, length, at = der[at], der[at + 1], at + 2
        if length & 0x80:  # so many bytes of length follow
            count = length & 0x7F
            length, at = int.from_bytes(der[at : at + count]), at + count
        if at + length > len(der):
            raise ValueError("the key is cut off")
        found.append((tag, der[at : at + length]))
        at += length
    return found
