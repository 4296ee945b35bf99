"""Starts the real binary in an empty folder, once per session, with S3 at a root of its own and a public bucket."""

import json
import os
import socket
import subprocess
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import boto3
import jwt
import pytest
from botocore.config import Config

BINARY = os.environ["MONOBASE_BIN"]


def free_port() -> int:
    """A port of this machine that nobody listens at, below those that connections are made from."""
    for port in range(20000 + os.getpid() % 5000, 32000):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port")


@dataclass
class Backend:
    """A backend in a folder of its own: its addresses and keys, and S3 clients."""

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)

    def run(self, *arguments: str) -> str:
        environment = {**os.environ, **self.variables}
        done = subprocess.run(
            [BINARY, *arguments], cwd=self.folder, capture_output=True, text=True, timeout=120, env=environment
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self) -> None:
        self.run("start", "--detach", "--port", "0")
        self.env = json.loads(self.run("status", "-o", "json"))

    def stop(self) -> None:
        self.run("stop")

    @property
    def endpoint(self) -> str:
        return f"{self.env['API_URL']}/storage/v1/s3"

    def s3(self, endpoint: str | None = None, user: str | None = None, **config):
        """A client with boto3's defaults: with the key pair, or in the name of a user's token."""
        if user is None:
            credentials = {
                "aws_access_key_id": self.env["S3_PROTOCOL_ACCESS_KEY_ID"],
                "aws_secret_access_key": self.env["S3_PROTOCOL_ACCESS_KEY_SECRET"],
            }
        else:
            credentials = {
                "aws_access_key_id": "stub",
                "aws_secret_access_key": self.env["ANON_KEY"],
                "aws_session_token": user,
            }
        return boto3.client(
            "s3",
            endpoint_url=endpoint or self.endpoint,
            region_name="local",
            config=Config(signature_version="s3v4", retries={"max_attempts": 1}, **config),
            **credentials,
        )

    def token(self, subject: str, role: str = "authenticated") -> str:
        """An access token of a user."""
        claims = {"sub": subject, "role": role, "aud": "authenticated", "exp": int(time.time()) + 600}
        return jwt.encode(claims, self.env["JWT_SECRET"], "HS256")

    def sql(self, statement: str) -> None:
        import psycopg

        with psycopg.connect(self.env["DB_URL"], autocommit=True) as connection:
            connection.execute(statement)


def make(folder: Path, **variables: str) -> Backend:
    (folder / "supabase").mkdir()
    (folder / "supabase" / "config.toml").write_text('project_id = "s3"\n[storage]\nfile_size_limit = "200MiB"\n')
    return Backend(folder, variables)


@pytest.fixture(scope="session")
def backend(tmp_path_factory):
    listen, public = free_port(), free_port() + 1
    made = make(
        tmp_path_factory.mktemp("backend"),
        STORAGE_S3_LISTEN=f"127.0.0.1:{listen}",
        R2_BUCKET_NAME="published",
        R2_PUBLIC_URL=f"http://127.0.0.1:{public}",
    )
    made.root, made.public = f"http://127.0.0.1:{listen}", f"http://127.0.0.1:{public}"
    made.start()
    yield made
    made.stop()


@pytest.fixture
def bucket(backend):
    name = f"b-{uuid.uuid4().hex[:12]}"
    backend.s3().create_bucket(Bucket=name)
    return name
