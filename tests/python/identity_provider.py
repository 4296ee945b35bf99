"""A company's identity provider: pysaml2 over xmlsec1, behind a page of its own, with whoever is set as its one user."""

import base64
import subprocess
import threading
from datetime import datetime, timedelta, timezone
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from saml2 import BINDING_HTTP_POST, BINDING_HTTP_REDIRECT
from saml2.authn_context import PASSWORD
from saml2.config import IdPConfig
from saml2.metadata import entity_descriptor
from saml2.saml import NAMEID_FORMAT_PERSISTENT, NameID
from saml2.server import Server

ASSERTION = "urn:oasis:names:tc:SAML:2.0:assertion"


def private_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def service_key() -> str:
    """A key as `auth.saml.private_key` has it."""
    der = private_key().private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    return base64.b64encode(der).decode()


def _key_pair(folder):
    key = private_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "idp")])
    now = datetime.now(timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    plain = (encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "idp.key").write_bytes(key.private_bytes(*plain))
    (folder / "idp.crt").write_bytes(certificate.public_bytes(encoding))
    return str(folder / "idp.key"), str(folder / "idp.crt")


class IdentityProvider:
    """Starts with the metadata of the service that it may answer."""

    def __init__(self, folder, service: str):
        provider = self
        self.folder = folder
        # What the next answer looks like.
        self.sign = {"sign_assertion": True, "sign_response": False}
        self.encrypt = None
        self.user, self.identity = "ada-1815", {"mail": ["Ada@Example.com"]}

        class Page(BaseHTTPRequestHandler):
            def do_GET(self):
                page = provider.page(parse_qs(urlsplit(self.path).query)).encode()
                self.send_response(200)
                self.send_header("content-type", "text/html")
                self.end_headers()
                self.wfile.write(page)

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Page)
        url = f"http://127.0.0.1:{self.http.server_port}"
        key, certificate = _key_pair(folder)
        settings = {
            "entityid": f"{url}/metadata",
            "key_file": key,
            "cert_file": certificate,
            "xmlsec_binary": "/usr/bin/xmlsec1",
            "metadata": {"inline": [service]},
            "service": {
                "idp": {
                    "endpoints": {"single_sign_on_service": [(f"{url}/sign-in", BINDING_HTTP_REDIRECT)]},
                    "name_id_format": [NAMEID_FORMAT_PERSISTENT],
                    "want_authn_requests_signed": True,
                    "policy": {"default": {"lifetime": {"minutes": 5}}},
                }
            },
        }
        config = IdPConfig().load(settings)
        self.server = Server(config=config)
        self.metadata = str(entity_descriptor(config))
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def stop(self):
        self.http.shutdown()

    def page(self, query) -> str:
        """Who comes with a question leaves with a form that answers it."""
        one = {name: values[0] for name, values in query.items()}
        request = self.server.parse_authn_request(
            one["SAMLRequest"],
            BINDING_HTTP_REDIRECT,
            relay_state=one["RelayState"],
            sigalg=one["SigAlg"],
            signature=one["Signature"],
        )
        arguments = self.server.response_args(request.message)
        assert arguments["binding"] == BINDING_HTTP_POST
        response = str(
            self.server.create_authn_response(
                identity=self.identity,
                userid=self.user,
                name_id=NameID(format=NAMEID_FORMAT_PERSISTENT, text=self.user),
                authn={"class_ref": PASSWORD, "authn_auth": "https://idp.example.com"},
                **self.sign,
                **{name: arguments[name] for name in ("in_response_to", "destination", "sp_entity_id")},
            )
        )
        if self.encrypt:
            response = self.encrypted(response, *self.encrypt)
        answer = base64.b64encode(response.encode()).decode()
        fields = {"SAMLResponse": answer, "RelayState": one["RelayState"]}
        inputs = "".join(f'<input name="{name}" value="{escape(value)}">' for name, value in fields.items())
        return f'<form method="post" action="{escape(arguments["destination"])}">{inputs}</form>'

    def encrypted(self, response: str, method: str, session_key: str, certificate: str) -> str:
        """The answer with its assertion encrypted by xmlsec1; pysaml2 itself knows Triple DES alone."""
        start = response.index("<ns1:Assertion")
        end = response.index("</ns1:Assertion>") + len("</ns1:Assertion>")
        assertion = response[start:end]
        # By itself it has to name what the response named for it.
        head = response[: response.index(">", response.index(":Response"))]
        names = [part for part in head.split() if part.startswith("xmlns:")]
        opening = assertion.index(" ")
        missing = [name for name in names if name.split("=")[0] not in assertion[: assertion.index(">")]]
        assertion = assertion[:opening] + "".join(f" {name}" for name in missing) + assertion[opening:]
        (self.folder / "assertion.xml").write_text(assertion)
        (self.folder / "service.crt").write_text(certificate)
        (self.folder / "template.xml").write_text(f"""<e:EncryptedData xmlns:e="http://www.w3.org/2001/04/xmlenc#"
            Type="http://www.w3.org/2001/04/xmlenc#Element"><e:EncryptionMethod Algorithm="{method}"/>
            <d:KeyInfo xmlns:d="http://www.w3.org/2000/09/xmldsig#"><e:EncryptedKey>
            <e:EncryptionMethod Algorithm="http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p"/>
            <e:CipherData><e:CipherValue/></e:CipherData></e:EncryptedKey></d:KeyInfo>
            <e:CipherData><e:CipherValue/></e:CipherData></e:EncryptedData>""")
        command = ["xmlsec1", "--encrypt", "--pubkey-cert-pem", "service.crt", "--session-key", session_key]
        command += ["--xml-data", "assertion.xml", "--output", "encrypted.xml", "template.xml"]
        subprocess.run(command, cwd=self.folder, check=True, capture_output=True)
        sealed = (self.folder / "encrypted.xml").read_text().split("?>", 1)[1]
        inside = f'<a:EncryptedAssertion xmlns:a="{ASSERTION}">{sealed}</a:EncryptedAssertion>'
        return response[:start] + inside + response[end:]
