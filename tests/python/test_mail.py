"""Mails of auth, read from the catcher, with the Python client."""

import json
import re
import urllib.parse
import urllib.request


def mail_to(backend, address: str) -> dict:
    query = urllib.parse.quote(f'to:"{address}"')
    with urllib.request.urlopen(f"{backend.env['MAILPIT_URL']}/api/v1/search?query={query}") as answer:
        found = json.load(answer)["messages"]
    assert found, f"no mail to {address}"
    with urllib.request.urlopen(f"{backend.env['MAILPIT_URL']}/api/v1/message/{found[0]['ID']}") as answer:
        return json.load(answer)


def code_in(mail: dict) -> str:
    return re.search(r"code: (\d+)", mail["HTML"]).group(1)


def test_a_magic_link_signs_in(backend):
    backend.sign_up("magic@example.com")
    client = backend.client()
    client.auth.sign_in_with_otp({"email": "magic@example.com"})
    mail = mail_to(backend, "magic@example.com")
    assert mail["Subject"] == "Your Magic Link"
    session = client.auth.verify_otp({"email": "magic@example.com", "token": code_in(mail), "type": "email"})
    assert session.user.email == "magic@example.com"


def test_a_forgotten_password_is_replaced(backend):
    backend.sign_up("forgot@example.com")
    client = backend.client()
    client.auth.reset_password_for_email("forgot@example.com")
    code = code_in(mail_to(backend, "forgot@example.com"))
    client.auth.verify_otp({"email": "forgot@example.com", "token": code, "type": "recovery"})
    client.auth.update_user({"password": "another horse"})
    again = backend.client().auth.sign_in_with_password({"email": "forgot@example.com", "password": "another horse"})
    assert again.user.email == "forgot@example.com"


def test_an_invitation_arrives(backend):
    admin = backend.client(backend.env["SERVICE_ROLE_KEY"])
    admin.auth.admin.invite_user_by_email("guest@example.com")
    assert mail_to(backend, "guest@example.com")["Subject"] == "You have been invited"
