"""Buckets and objects with the published client."""

import pytest
from storage3.exceptions import StorageApiError


@pytest.fixture(scope="module")
def files(backend):
    storage = backend.client(backend.env["SERVICE_ROLE_KEY"]).storage
    storage.create_bucket("python", options={"public": True, "file_size_limit": 1000})
    return storage.from_("python")


def test_an_object_comes_and_goes(files):
    files.upload("a/b.txt", b"hello", {"content-type": "text/plain", "cache-control": "60"})
    assert files.download("a/b.txt") == b"hello"
    assert files.exists("a/b.txt") and not files.exists("a/none.txt")
    assert files.info("a/b.txt")["size"] == 5
    with pytest.raises(StorageApiError) as taken:
        files.upload("a/b.txt", b"again")
    assert (taken.value.code, str(taken.value.status)) == ("Duplicate", "409")
    files.update("a/b.txt", b"again", {"content-type": "text/plain"})
    files.copy("a/b.txt", "a/c.txt")
    files.move("a/c.txt", "a/d.txt")
    assert sorted(entry["name"] for entry in files.list("a")) == ["b.txt", "d.txt"]
    assert [entry["name"] for entry in files.remove(["a/b.txt", "a/d.txt"])] == ["a/b.txt", "a/d.txt"]


def test_limits_are_told(files):
    with pytest.raises(StorageApiError) as refused:
        files.upload("big", b"x" * 1001)
    assert refused.value.message == "The object exceeded the maximum allowed size"


def test_buckets_have_the_fields_that_the_client_knows(backend, files):
    buckets = backend.client(backend.env["SERVICE_ROLE_KEY"]).storage.list_buckets()
    found = next(bucket for bucket in buckets if bucket.id == "python")
    assert (found.public, found.file_size_limit) == (True, 1000)
