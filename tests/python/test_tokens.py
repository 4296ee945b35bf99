"""PyJWT, as application servers use it, accepts our tokens and refuses all others."""

import time

import jwt
import pytest


@pytest.fixture(scope="module")
def token(backend):
    return backend.sign_up("token@py.example.com").auth.get_session().access_token


def decode(backend, token):
    return jwt.decode(token, backend.env["JWT_SECRET"], algorithms=["HS256"], audience="authenticated")


def test_a_session_token_is_accepted(backend, token):
    claims = decode(backend, token)
    assert claims["role"] == "authenticated"
    assert claims["email"] == "token@py.example.com"
    assert claims["exp"] - claims["iat"] == 3600


def test_a_tampered_token_is_refused(backend, token):
    head, payload, signature = token.split(".")
    changed = jwt.utils.base64url_encode(b'{"aud":"authenticated","role":"service_role"}').decode()
    with pytest.raises(jwt.InvalidSignatureError):
        decode(backend, f"{head}.{changed}.{signature}")
    broken = ("A" if signature[0] != "A" else "B") + signature[1:]
    with pytest.raises(jwt.InvalidSignatureError):
        decode(backend, f"{head}.{payload}.{broken}")


def test_an_expired_token_is_refused_on_both_sides(backend):
    claims = {"aud": "authenticated", "role": "authenticated", "sub": "00000000-0000-0000-0000-000000000000"}
    expired = jwt.encode({**claims, "exp": int(time.time()) - 60}, backend.env["JWT_SECRET"], algorithm="HS256")
    with pytest.raises(jwt.ExpiredSignatureError):
        decode(backend, expired)
    with pytest.raises(Exception, match="expired|bad_jwt|invalid JWT"):
        backend.client().auth.get_user(expired)


def test_another_audience_is_refused(backend):
    token = jwt.encode({"aud": "somewhere else", "exp": int(time.time()) + 60}, backend.env["JWT_SECRET"])
    with pytest.raises(jwt.InvalidAudienceError):
        decode(backend, token)
