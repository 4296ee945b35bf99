"""Single sign-on with pysaml2: what libxml2 and xmlsec write canonically, sign and encrypt is what we read."""

import json
import re
from html import unescape
from urllib.parse import parse_qs, urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

import pytest
from conftest import running
from identity_provider import IdentityProvider, service_key


class Stay(HTTPRedirectHandler):
    """A browser that tells where it is sent instead of going there."""

    def redirect_request(self, *_):
        return None

    def http_error_302(self, request, answer, code, message, headers):
        return answer

    http_error_303 = http_error_302


BROWSER = build_opener(Stay)


def get(url: str, body: bytes | None = None, **headers: str):
    return BROWSER.open(Request(url, data=body, headers=headers), timeout=30)


@pytest.fixture(scope="module")
def company(tmp_path_factory):
    """A backend, and a provider that it knows."""
    folder = tmp_path_factory.mktemp("sso")
    (folder / "supabase").mkdir()
    (folder / "supabase/config.toml").write_text(
        f'[auth]\nsite_url = "https://app.example.com"\n[auth.saml]\nenabled = true\n'
        f'private_key = "{service_key()}"\nallow_encrypted_assertions = true\n'
    )
    with running(folder) as backend:
        metadata = get(f"{backend.env['API_URL']}/sso/saml/metadata").read().decode()
        provider = IdentityProvider(folder, metadata)
        key = backend.env["SERVICE_ROLE_KEY"]
        mapping = {"keys": {"full_name": {"name": "displayName"}, "groups": {"name": "memberOf", "array": True}}}
        body = {"type": "saml", "metadata_xml": provider.metadata, "domains": ["example.com"]}
        body["attribute_mapping"] = mapping
        url = f"{backend.env['API_URL']}/auth/v1/admin/sso/providers"
        headers = {"apikey": key, "authorization": f"Bearer {key}", "content-type": "application/json"}
        assert get(url, json.dumps(body).encode(), **headers).status == 201
        certificate = re.search("<X509Certificate[^>]*>([^<]*)", metadata)[1]
        lines = "\n".join(re.findall(".{1,64}", certificate))
        provider.service_certificate = f"-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n"
        yield backend, provider
        provider.stop()


def sign_in(backend):
    """Goes the way of a browser; the client, and where it ended."""
    client = backend.client()
    url = client.auth.sign_in_with_sso({"domain": "example.com"}).url
    page = get(url).read().decode()
    action = unescape(re.search('action="([^"]+)"', page)[1])
    fields = {name: unescape(value) for name, value in re.findall('name="([^"]+)" value="([^"]*)"', page)}
    answer = get(action, urlencode(fields).encode())
    return client, answer.status, answer.headers["location"]


def user_of(backend):
    client, status, location = sign_in(backend)
    assert status == 302, location
    # This client always uses a proof key.
    [code] = parse_qs(urlsplit(location).query)["code"]
    return client.auth.exchange_code_for_session({"auth_code": code}).user


@pytest.mark.parametrize("assertion, response", [(True, False), (False, True), (True, True)])
def test_what_is_signed_signs_in(company, assertion, response):
    backend, provider = company
    provider.sign = {"sign_assertion": assertion, "sign_response": response}
    provider.identity = {"mail": ["Ada@Example.com"], "displayName": ["Ada Löve<lace> & Söhne"], "memberOf": ["a", "b"]}
    user = user_of(backend)
    assert user.email == "ada@example.com"
    assert user.user_metadata["full_name"] == "Ada Löve<lace> & Söhne"
    assert user.user_metadata["custom_claims"] == {"groups": ["a", "b"]}
    assert user.identities[0].identity_data["sub"] == "ada-1815"


def test_what_is_not_signed_does_not(company):
    backend, provider = company
    provider.sign = {"sign_assertion": False, "sign_response": False}
    _, status, location = sign_in(backend)
    provider.sign = {"sign_assertion": True, "sign_response": False}
    assert (status, parse_qs(urlsplit(location).query)["error_code"]) == (303, ["validation_failed"])


@pytest.mark.parametrize(
    "method, session_key",
    [
        ("http://www.w3.org/2001/04/xmlenc#aes128-cbc", "aes-128"),
        ("http://www.w3.org/2001/04/xmlenc#aes256-cbc", "aes-256"),
        ("http://www.w3.org/2009/xmlenc11#aes256-gcm", "aes-256"),
    ],
)
def test_what_is_encrypted_for_us_is_read(company, method, session_key):
    backend, provider = company
    provider.sign = {"sign_assertion": True, "sign_response": False}
    provider.encrypt = (method, session_key, provider.service_certificate)
    try:
        assert user_of(backend).email == "ada@example.com"
    finally:
        provider.encrypt = None
