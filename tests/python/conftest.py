"""Starts the real binary in an empty folder, once per session."""

import json
import os
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from supabase import Client, ClientOptions, create_client

BINARY = os.environ["MONOBASE_BIN"]


@dataclass
class Backend:
    """A running backend: its addresses and keys, clients, and SQL access as `postgres`."""

    env: dict[str, str]

    def client(self, key: str | None = None) -> Client:
        """A client of its own, which keeps no session between tests."""
        options = ClientOptions(auto_refresh_token=False, persist_session=False)
        return create_client(self.env["API_URL"], key or self.env["ANON_KEY"], options)

    def sql(self, statement: str) -> None:
        """Runs a statement as `postgres`."""
        with psycopg.connect(self.env["DB_URL"], autocommit=True) as connection:
            connection.execute(statement)

    def sign_up(self, email: str) -> Client:
        """A new user, signed in."""
        client = self.client()
        client.auth.sign_up({"email": email, "password": "correct horse battery"})
        return client


@contextmanager
def running(folder: Path):
    """A backend in a folder, which may have a `supabase/config.toml`."""

    def run(*arguments: str) -> str:
        done = subprocess.run([BINARY, *arguments], cwd=folder, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("start", "--detach", "--port", "0", "--ephemeral")
    try:
        yield Backend(json.loads(run("status", "-o", "json")))
    finally:
        run("stop")


@pytest.fixture(scope="session")
def backend(tmp_path_factory):
    with running(tmp_path_factory.mktemp("backend")) as backend:
        yield backend
