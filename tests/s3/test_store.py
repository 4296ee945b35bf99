"""Blobs in an S3-compatible store: another backend's S3 door, and MinIO where its program is installed."""

import hashlib
import io
import os
import shutil
import socket
import subprocess
import threading
import time

import boto3
import pytest
from botocore.exceptions import ClientError
from conftest import free_port, make

MIB = 1 << 20


class Line:
    """A connection to a store that can be cut in the middle of what goes through."""

    def __init__(self, target: str):
        host, port = target.removeprefix("http://").split(":")
        self.target, self.cut_after, self.passed = (host, int(port)), None, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
                store = socket.create_connection(self.target)
            except OSError:
                continue
            threading.Thread(target=self.pump, args=(client, store, True), daemon=True).start()
            threading.Thread(target=self.pump, args=(store, client, False), daemon=True).start()

    def pump(self, source, sink, counts):
        try:
            while data := source.recv(65536):
                if counts:
                    self.passed += len(data)
                    if self.cut_after is not None and self.passed > self.cut_after:
                        break
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut(self, after: int):
        self.passed, self.cut_after = 0, after

    def mend(self):
        self.cut_after = None


@pytest.fixture(scope="session", params=["monobase", "minio"])
def stored(request, backend, tmp_path_factory):
    """A backend whose blobs are in another server, and the line between them."""
    server = None
    if request.param == "monobase":
        url = backend.root
        key = backend.env["S3_PROTOCOL_ACCESS_KEY_ID"], backend.env["S3_PROTOCOL_ACCESS_KEY_SECRET"]
    else:
        program = os.environ.get("MINIO_BIN") or shutil.which("minio")
        if not program:
            pytest.skip("MinIO is not installed: MINIO_BIN may name it")
        port, console = free_port() + 10, free_port() + 11
        url, key = f"http://127.0.0.1:{port}", ("minioadmin", "minioadmin")
        server = subprocess.Popen(
            [program, "server", str(tmp_path_factory.mktemp("minio")), "--address", f"127.0.0.1:{port}",
             "--console-address", f"127.0.0.1:{console}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    s3 = boto3.client(
        "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id=key[0], aws_secret_access_key=key[1]
    )
    for _ in range(100):
        try:
            s3.create_bucket(Bucket="blobs")
            break
        except Exception:
            time.sleep(0.2)
    line = Line(url)
    settings = {
        "STORAGE_BACKEND": "s3",
        "STORAGE_S3_BUCKET": "blobs",
        "STORAGE_S3_ENDPOINT": line.url,
        "STORAGE_S3_FORCE_PATH_STYLE": "true",
        "STORAGE_S3_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": key[0],
        "AWS_SECRET_ACCESS_KEY": key[1],
    }
    made = make(tmp_path_factory.mktemp("stored"), **{f"MONOBASE_{name}": value for name, value in settings.items()})
    made.start()
    made.line, made.blobs = line, s3
    made.s3().create_bucket(Bucket="b")
    yield made
    made.stop()
    if server:
        server.terminate()
        server.wait()


def test_objects_lie_in_the_store(stored):
    s3 = stored.s3()
    small, large = b"hello", os.urandom(MIB) * 21
    s3.put_object(Bucket="b", Key="small", Body=small)
    s3.put_object(Bucket="b", Key="empty", Body=b"")
    s3.put_object(Bucket="b", Key="whole", Body=large)
    s3.upload_fileobj(io.BytesIO(large), "b", "parts")
    for key, body in (("small", small), ("empty", b""), ("whole", large), ("parts", large)):
        got = s3.get_object(Bucket="b", Key=key)["Body"].read()
        assert hashlib.sha256(got).digest() == hashlib.sha256(body).digest(), key
    assert s3.get_object(Bucket="b", Key="parts", Range="bytes=8388600-8388615")["Body"].read() == large[8388600:8388616]
    s3.copy_object(Bucket="b", Key="copy", CopySource={"Bucket": "b", "Key": "parts"})
    assert s3.get_object(Bucket="b", Key="copy")["Body"].read() == large
    s3.delete_objects(Bucket="b", Delete={"Objects": [{"Key": key} for key in ("small", "empty", "whole", "parts", "copy")]})
    for _ in range(100):
        if stored.blobs.list_objects_v2(Bucket="blobs")["KeyCount"] == 0:
            break
        time.sleep(0.1)
    assert stored.blobs.list_objects_v2(Bucket="blobs")["KeyCount"] == 0


def test_small_parts_are_joined_too(stored):
    """TUS takes parts of any size; S3 joins only large ones."""
    import base64

    import requests

    def encoded(text: str) -> str:
        return base64.b64encode(text.encode()).decode()

    headers = {"authorization": f"Bearer {stored.env['SERVICE_ROLE_KEY']}", "tus-resumable": "1.0.0"}
    named = f"bucketName {encoded('b')},objectName {encoded('resumed')}"
    base = f"{stored.env['API_URL']}/storage/v1/upload/resumable"
    body = os.urandom(300_000)
    begun = requests.post(base, headers={**headers, "upload-length": "300000", "upload-metadata": named}, timeout=20)
    for at in range(0, 300_000, 100_000):
        sent = {**headers, "upload-offset": str(at), "content-type": "application/offset+octet-stream"}
        answer = requests.patch(begun.headers["location"], headers=sent, data=body[at : at + 100_000], timeout=20)
        assert answer.status_code == 204, answer.text
    assert stored.s3().get_object(Bucket="b", Key="resumed")["Body"].read() == body


def test_a_store_that_breaks_off_leaves_the_old_object(stored):
    s3 = stored.s3()
    s3.put_object(Bucket="b", Key="kept", Body=b"old")
    stored.line.cut(after=2 * MIB)
    with pytest.raises(ClientError) as caught:
        s3.put_object(Bucket="b", Key="kept", Body=os.urandom(8 * MIB))
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500
    with pytest.raises(ClientError):
        s3.put_object(Bucket="b", Key="never", Body=os.urandom(8 * MIB))
    stored.line.mend()
    assert s3.get_object(Bucket="b", Key="kept")["Body"].read() == b"old"
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket="b", Prefix="never").get("Contents", [])] == []
    s3.put_object(Bucket="b", Key="kept", Body=b"new")
    assert s3.get_object(Bucket="b", Key="kept")["Body"].read() == b"new"


def test_the_last_of_two_writers_wins_whole(stored):
    s3 = stored.s3()
    bodies = [bytes([letter]) * (3 * MIB) for letter in b"AB"]
    writers = [
        threading.Thread(target=lambda body=body: [s3.put_object(Bucket="b", Key="two", Body=body) for _ in range(3)])
        for body in bodies
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert s3.get_object(Bucket="b", Key="two")["Body"].read() in bodies
