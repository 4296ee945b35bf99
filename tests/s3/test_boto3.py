"""boto3 with its defaults, through the front door under its prefix."""

import base64
import hashlib
import io
import zlib

import pytest
import requests
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

MIB = 1 << 20


def refused(call, **arguments) -> tuple[int, str]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    answer = caught.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]


def test_an_object_comes_back_with_what_was_said_of_it(backend, bucket):
    s3 = backend.s3()
    put = s3.put_object(
        Bucket=bucket,
        Key="a/b c+d.txt",
        Body=b"hello",
        ContentType="text/html",
        CacheControl="max-age=60",
        ContentDisposition='attachment; filename="x"',
        ContentEncoding="identity",
        Metadata={"Colour": "blue"},
    )
    assert put["ETag"] == '"5d41402abc4b2a76b9719d911017c592"'
    assert put["ChecksumCRC32"] == "NhCmhg=="
    got = s3.get_object(Bucket=bucket, Key="a/b c+d.txt")
    assert got["Body"].read() == b"hello"
    named = ("ContentType", "CacheControl", "ContentDisposition", "ContentEncoding", "Metadata", "ETag", "ContentLength")
    assert [got[name] for name in named] == [
        "text/html",
        "max-age=60",
        'attachment; filename="x"',
        "identity",
        {"colour": "blue"},
        put["ETag"],
        5,
    ]


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"])
def test_checksums_are_verified_and_kept(backend, bucket, algorithm):
    s3 = backend.s3()
    try:
        put = s3.put_object(Bucket=bucket, Key="k", Body=b"hello", ChecksumAlgorithm=algorithm)
    except Exception as error:  # An algorithm that needs a library of its own.
        if "CRT" in str(error) or "crt" in str(error):
            pytest.skip(str(error))
        raise
    name = f"Checksum{algorithm}"
    head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert head[name] == put[name]
    wrong = {"CRC32": "AAAAAA==", "CRC32C": "AAAAAA==", "CRC64NVME": "AAAAAAAAAAA="}.get(algorithm)
    if wrong:
        assert refused(s3.put_object, Bucket=bucket, Key="bad", Body=b"hello", **{name: wrong}) == (400, "BadDigest")
        assert refused(s3.get_object, Bucket=bucket, Key="bad") == (404, "NoSuchKey")


def test_large_files_go_in_parts_and_come_back(backend, bucket):
    s3 = backend.s3()
    body = bytes(range(256)) * (20 * MIB // 256) + b"tail"
    s3.upload_fileobj(io.BytesIO(body), bucket, "large")
    head = s3.head_object(Bucket=bucket, Key="large")
    assert head["ContentLength"] == len(body) and head["ETag"].endswith('-3"')
    out = io.BytesIO()
    s3.download_fileobj(bucket, "large", out)
    assert hashlib.sha256(out.getvalue()).digest() == hashlib.sha256(body).digest()
    part = s3.get_object(Bucket=bucket, Key="large", PartNumber=3)
    assert (part["PartsCount"], part["Body"].read()) == (3, body[16 * MIB :])


def test_attributes_come_in_one_answer(backend, bucket):
    s3 = backend.s3()
    s3.upload_fileobj(io.BytesIO(b"x" * (17 * MIB)), bucket, "k")
    wanted = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"]
    found = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=wanted, MaxParts=2)
    head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert (found["ETag"], found["StorageClass"]) == (head["ETag"].strip('"'), "STANDARD")
    assert (found["ObjectSize"], found["LastModified"]) == (17 * MIB, head["LastModified"])
    assert found["Checksum"]["ChecksumCRC32"] == head["ChecksumCRC32"]
    parts = found["ObjectParts"]
    assert (parts["TotalPartsCount"], parts["NextPartNumberMarker"], parts["IsTruncated"]) == (3, 2, True)
    assert [(part["PartNumber"], part["Size"]) for part in parts["Parts"]] == [(1, 8 * MIB), (2, 8 * MIB)]
    rest = s3.get_object_attributes(
        Bucket=bucket, Key="k", ObjectAttributes=["ObjectParts"], PartNumberMarker=parts["NextPartNumberMarker"]
    )
    assert ([part["Size"] for part in rest["ObjectParts"]["Parts"]], "ETag" in rest) == ([MIB], False)


@pytest.mark.parametrize("kind", ["COMPOSITE", "FULL_OBJECT"])
def test_parts_keep_their_checksums(backend, bucket, kind):
    s3 = backend.s3()
    bodies = [b"a" * (5 * MIB), b"b" * (5 * MIB), b"tail"]
    raw = [zlib.crc32(body).to_bytes(4, "big") for body in bodies]
    sums = [base64.b64encode(value).decode() for value in raw]
    s3.put_object(Bucket=bucket, Key="source", Body=bodies[1])
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k", ChecksumAlgorithm="CRC32", ChecksumType=kind)
    place = {"Bucket": bucket, "Key": "k", "UploadId": upload["UploadId"]}
    # One that the client sends, and two that it does not: of a copy, and of a plain request.
    sent = s3.upload_part(**place, PartNumber=1, Body=bodies[0])
    source = {"Bucket": bucket, "Key": "source"}
    copied = s3.upload_part_copy(**place, PartNumber=2, CopySource=source)["CopyPartResult"]
    url = s3.generate_presigned_url("upload_part", Params={**place, "PartNumber": 3})
    plain = requests.put(url, data=bodies[2], timeout=20).headers
    assert [sent["ChecksumCRC32"], copied["ChecksumCRC32"], plain["x-amz-checksum-crc32"]] == sums
    other = {"PartNumber": 4, "Body": b"x", "ChecksumAlgorithm": "SHA256"}
    assert refused(s3.upload_part, **place, **other) == (400, "InvalidRequest")
    assert [part["ChecksumCRC32"] for part in s3.list_parts(**place)["Parts"]] == sums

    tags = [sent["ETag"], copied["ETag"], plain["etag"]]
    parts = [{"PartNumber": at + 1, "ETag": tags[at], "ChecksumCRC32": sums[at]} for at in range(3)]
    wrong = [*parts[:2], {**parts[2], "ChecksumCRC32": sums[0]}]
    assert refused(s3.complete_multipart_upload, **place, MultipartUpload={"Parts": wrong}) == (400, "InvalidPart")
    whole = base64.b64encode(zlib.crc32(b"".join(raw if kind == "COMPOSITE" else bodies)).to_bytes(4, "big")).decode()
    whole += "-3" if kind == "COMPOSITE" else ""
    done = s3.complete_multipart_upload(**place, MultipartUpload={"Parts": parts})
    assert (done["ChecksumCRC32"], done["ChecksumType"]) == (whole, kind)

    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "k"})
    for key in ["k", "copy"]:
        head = s3.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
        assert (head["ChecksumCRC32"], head["ChecksumType"]) == (whole, kind)
        assert "ChecksumCRC32" not in s3.head_object(Bucket=bucket, Key=key)
        for at, body in enumerate(bodies):
            # boto3 compares what it reads.
            got = s3.get_object(Bucket=bucket, Key=key, PartNumber=at + 1)
            assert (got["ChecksumCRC32"], got["Body"].read() == body) == (sums[at], True)
        listed = s3.get_object_attributes(Bucket=bucket, Key=key, ObjectAttributes=["ObjectParts"])
        assert [part["ChecksumCRC32"] for part in listed["ObjectParts"]["Parts"]] == sums


def test_a_completion_may_say_what_must_come_of_it(backend, bucket):
    s3 = backend.s3()
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k", ChecksumAlgorithm="SHA256")["UploadId"]
    place = {"Bucket": bucket, "Key": "k", "UploadId": upload}
    part = s3.upload_part(**place, PartNumber=1, Body=b"part", ChecksumAlgorithm="SHA256")
    listed = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"], "ChecksumSHA256": part["ChecksumSHA256"]}]}
    whole = base64.b64encode(hashlib.sha256(hashlib.sha256(b"part").digest()).digest()).decode() + "-1"
    complete = s3.complete_multipart_upload
    assert refused(complete, **place, MultipartUpload=listed, ChecksumSHA256="bad") == (400, "BadDigest")
    assert refused(complete, **place, MultipartUpload=listed, IfMatch="*") == (404, "NoSuchKey")
    done = complete(**place, MultipartUpload=listed, ChecksumSHA256=whole)
    assert done["ChecksumSHA256"] == whole
    # Whoever lost the answer asks again.
    again = complete(**place, MultipartUpload=listed, ChecksumSHA256=whole)
    assert (again["ETag"], again["ChecksumSHA256"]) == (done["ETag"], whole)


def test_ranges_and_conditions(backend, bucket):
    s3 = backend.s3()
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"0123456789")["ETag"]
    get = s3.get_object
    assert get(Bucket=bucket, Key="k", Range="bytes=2-4")["Body"].read() == b"234"
    assert get(Bucket=bucket, Key="k", Range="bytes=-3")["ContentRange"] == "bytes 7-9/10"
    assert refused(get, Bucket=bucket, Key="k", Range="bytes=10-") == (416, "InvalidRange")
    assert refused(get, Bucket=bucket, Key="k", IfNoneMatch=etag)[0] == 304
    assert refused(get, Bucket=bucket, Key="k", IfMatch='"x"') == (412, "PreconditionFailed")
    put = s3.put_object
    assert refused(put, Bucket=bucket, Key="k", Body=b"", IfNoneMatch="*") == (412, "PreconditionFailed")
    assert refused(put, Bucket=bucket, Key="k", Body=b"", IfMatch='"x"') == (412, "PreconditionFailed")
    assert refused(put, Bucket=bucket, Key="k", Body=b"", IfNoneMatch=etag) == (412, "PreconditionFailed")
    put(Bucket=bucket, Key="k", Body=b"new", IfMatch=etag)
    put(Bucket=bucket, Key="k", Body=b"newer", IfNoneMatch=etag)
    put(Bucket=bucket, Key="other", Body=b"new", IfNoneMatch="*")


def test_listings_fold_and_go_on(backend, bucket):
    s3 = backend.s3()
    for key in ["a/1", "a/2", "b", "c/1"]:
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Delimiter="/", PaginationConfig={"PageSize": 1})
    entries = [
        entry.get("Key") or entry.get("Prefix")
        for page in pages
        for entry in page.get("Contents", []) + page.get("CommonPrefixes", [])
    ]
    assert entries == ["a/", "b", "c/"]
    old = s3.list_objects(Bucket=bucket, Marker="a/", Delimiter="/", MaxKeys=1)
    assert (old["Marker"], old["NextMarker"], old["IsTruncated"]) == ("a/", "b", True)


def test_deleting_what_is_not_there_succeeds(backend, bucket):
    s3 = backend.s3()
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert s3.delete_object(Bucket=bucket, Key="nothing")["ResponseMetadata"]["HTTPStatusCode"] == 204
    gone = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k"}, {"Key": "nothing"}]})
    assert sorted(entry["Key"] for entry in gone["Deleted"]) == ["k", "nothing"]
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_copies_take_or_replace_metadata(backend, bucket):
    s3 = backend.s3()
    s3.put_object(Bucket=bucket, Key="a b+c", Body=b"x", Metadata={"n": "1"}, ContentType="text/css")
    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "a b+c"})
    head = s3.head_object(Bucket=bucket, Key="copy")
    assert (head["Metadata"], head["ContentType"]) == ({"n": "1"}, "text/css")
    source = {"Bucket": bucket, "Key": "copy"}
    assert refused(s3.copy_object, Bucket=bucket, Key="copy", CopySource=source) == (400, "InvalidRequest")
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=source, Metadata={"n": "2"}, MetadataDirective="REPLACE")
    assert s3.head_object(Bucket=bucket, Key="copy")["Metadata"] == {"n": "2"}


@pytest.mark.parametrize("method", ["get", "put", "head", "delete"])
def test_presigned_urls_work_for_every_method(backend, bucket, method):
    s3 = backend.s3()
    key = "k !(1)"
    s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    url = s3.generate_presigned_url(f"{method}_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=60)
    answer = requests.request(method, url, data=b"new" if method == "put" else None, timeout=20)
    assert answer.status_code == (204 if method == "delete" else 200), answer.text
    assert requests.request(method, url.replace("Signature=", "Signature=0"), timeout=20).status_code == 403


def test_a_presigned_url_may_carry_headers(backend, bucket):
    # As JavaScript's SDK makes them, the checksum of nothing included.
    names = ("S3_PROTOCOL_ACCESS_KEY_ID", "S3_PROTOCOL_ACCESS_KEY_SECRET")
    keys = Credentials(*(backend.env[name] for name in names))

    def put(key, query, **body):
        request = AWSRequest("PUT", f"{backend.endpoint}/{bucket}/{key}?{query}")
        S3SigV4QueryAuth(keys, "s3", "local", expires=60).add_auth(request)
        return requests.put(request.url, timeout=20, **body).status_code

    checksum = "x-amz-checksum-crc32=AAAAAA%3D%3D&x-amz-sdk-checksum-algorithm=CRC32"
    assert put("k", f"x-amz-meta-colour=blue&{checksum}", data=b"bytes") == 200
    assert put("copy", f"x-amz-copy-source={bucket}%2Fk") == 200
    copy = backend.s3().get_object(Bucket=bucket, Key="copy")
    assert (copy["Body"].read(), copy["Metadata"]) == (b"bytes", {"colour": "blue"})


def test_a_presigned_put_copies_nothing(backend, bucket):
    s3 = backend.s3()
    s3.put_object(Bucket=bucket, Key="secret", Body=b"secret")
    url = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "k"}, ExpiresIn=60)
    answer = requests.put(url, headers={"x-amz-copy-source": f"{bucket}/secret"}, timeout=20)
    assert (answer.status_code, "AccessDenied" in answer.text) == (403, True)


def test_sub_resources_overwrite_nothing(backend, bucket):
    s3 = backend.s3()
    s3.put_object(Bucket=bucket, Key="k", Body=b"bytes")
    tags = {"TagSet": [{"Key": "a", "Value": "b"}]}
    assert refused(s3.put_object_tagging, Bucket=bucket, Key="k", Tagging=tags) == (501, "NotImplemented")
    assert refused(s3.put_object_acl, Bucket=bucket, Key="k", ACL="public-read") == (501, "NotImplemented")
    retention = {"Mode": "GOVERNANCE"}
    assert refused(s3.put_object_retention, Bucket=bucket, Key="k", Retention=retention) == (501, "NotImplemented")
    assert refused(s3.get_bucket_policy, Bucket=bucket) == (501, "NotImplemented")
    assert refused(s3.put_bucket_policy, Bucket="made-by-policy", Policy="{}") == (501, "NotImplemented")
    assert refused(s3.head_bucket, Bucket="made-by-policy")[0] == 404
    # An object is as public as its bucket, and may be said to be.
    s3.put_object_acl(Bucket=bucket, Key="k", ACL="private")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"bytes"


def test_wrong_keys_are_told_apart(backend, bucket):
    wrong = backend.s3()
    wrong._request_signer._credentials.secret_key = "wrong"
    assert refused(wrong.list_objects_v2, Bucket=bucket) == (403, "SignatureDoesNotMatch")
    wrong._request_signer._credentials.access_key = "unknown"
    assert refused(wrong.list_objects_v2, Bucket=bucket) == (403, "InvalidAccessKeyId")
    assert requests.get(f"{backend.endpoint}/{bucket}", timeout=20).status_code == 403


def test_a_user_sees_and_does_what_policies_allow(backend, bucket):
    me, other = "a8b0e7a4-3c52-4b0c-8c0a-0a4f8d7f3d11", "5f0c1f2e-93a8-4a51-9d4a-64f4fcb0a9d2"
    backend.sql(
        f"""create policy "own {bucket}" on storage.objects to authenticated
            using (bucket_id = '{bucket}' and (storage.foldername(name))[1] = auth.uid()::text)
            with check (bucket_id = '{bucket}' and (storage.foldername(name))[1] = auth.uid()::text)"""
    )
    mine, theirs = backend.s3(user=backend.token(me)), backend.s3(user=backend.token(other))
    mine.put_object(Bucket=bucket, Key=f"{me}/k", Body=b"x")
    mine.upload_fileobj(io.BytesIO(b"y" * (9 * MIB)), bucket, f"{me}/large")
    assert refused(theirs.put_object, Bucket=bucket, Key=f"{me}/k", Body=b"y") == (403, "AccessDenied")
    assert refused(theirs.create_multipart_upload, Bucket=bucket, Key=f"{me}/k") == (403, "AccessDenied")
    assert refused(theirs.get_object, Bucket=bucket, Key=f"{me}/k") == (404, "NoSuchKey")
    assert theirs.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    theirs.delete_object(Bucket=bucket, Key=f"{me}/k")
    assert mine.list_objects_v2(Bucket=bucket)["KeyCount"] == 2
    assert refused(mine.create_bucket, Bucket="not-allowed") == (403, "AccessDenied")
    # What a public bucket holds is for everyone, also for those who sign.
    backend.s3().put_bucket_acl(Bucket=bucket, ACL="public-read")
    assert theirs.get_object(Bucket=bucket, Key=f"{me}/k")["Body"].read() == b"x"
    assert theirs.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_a_form_uploads_what_its_policy_allows(backend, bucket):
    post = backend.s3().generate_presigned_post(
        bucket, "forms/${filename}", Conditions=[["content-length-range", 1, 5]], ExpiresIn=60
    )
    url, fields = post["url"], post["fields"]
    answer = requests.post(url, data=fields, files={"file": ("a.txt", b"hello")}, timeout=20)
    assert answer.status_code == 204, answer.text
    assert backend.s3().get_object(Bucket=bucket, Key="forms/a.txt")["Body"].read() == b"hello"
    wrong = {**fields, "x-amz-checksum-sha256": base64.b64encode(bytes(32)).decode()}
    assert "BadDigest" in requests.post(url, data=wrong, files={"file": ("a.txt", b"jello")}, timeout=20).text
    assert "EntityTooLarge" in requests.post(url, data=fields, files={"file": ("a.txt", b"hello!")}, timeout=20).text
    extra = {**fields, "acl": "public-read"}
    answer = requests.post(url, data=extra, files={"file": ("a.txt", b"hello")}, timeout=20)
    assert (answer.status_code, "Extra input fields" in answer.text) == (403, True)
