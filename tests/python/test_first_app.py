"""The published Python client signs up, writes and reads under row level security."""

import pytest
from postgrest.exceptions import APIError


@pytest.fixture(scope="module")
def notes(backend):
    backend.sql(
        """
        create table public.py_notes (
          id bigint generated always as identity primary key,
          owner uuid not null default auth.uid() references auth.users (id) on delete cascade,
          body text not null
        );
        alter table public.py_notes enable row level security;
        create policy "own notes" on public.py_notes to authenticated
          using (owner = (select auth.uid())) with check (owner = (select auth.uid()));
        """
    )
    return "py_notes"


def test_each_user_sees_only_their_own_rows(backend, notes):
    ada = backend.sign_up("ada@py.example.com")
    bob = backend.sign_up("bob@py.example.com")
    assert ada.table(notes).insert({"body": "hello"}).execute().data[0]["body"] == "hello"
    bob.table(notes).insert([{"body": "one"}, {"body": "two"}]).execute()
    assert ada.table(notes).select("body").execute().data == [{"body": "hello"}]
    assert bob.table(notes).select("body").order("id").execute().data == [{"body": "one"}, {"body": "two"}]
    assert backend.client().table(notes).select("*").execute().data == []
    service = backend.client(backend.env["SERVICE_ROLE_KEY"])
    answer = service.table(notes).select("body", count="exact").order("id").execute()
    assert answer.data == [{"body": "hello"}, {"body": "one"}, {"body": "two"}]
    assert answer.count == 3


def test_anon_may_not_write(backend, notes):
    with pytest.raises(APIError) as refused:
        backend.client().table(notes).insert({"body": "no"}).execute()
    assert refused.value.code == "42501"


def test_a_user_reads_and_changes_their_profile(backend):
    client = backend.sign_up("cleo@py.example.com")
    client.auth.update_user({"data": {"colour": "blue"}})
    assert client.auth.get_user().user.user_metadata["colour"] == "blue"
    assert client.auth.refresh_session().session.access_token
