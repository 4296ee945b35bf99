"""A public bucket at an address of its own: what boto3 puts, a browser gets."""

import requests


def test_a_browser_gets_what_boto3_puts(backend):
    s3 = backend.s3(endpoint=backend.root)
    s3.create_bucket(Bucket="published", ACL="public-read")
    etag = s3.put_object(
        Bucket="published", Key="site/index page.html", Body=b"<p>hello", ContentType="text/html", CacheControl="max-age=60"
    )["ETag"]
    url = f"{backend.public}/site/index%20page.html"
    got = requests.get(url, headers={"Origin": "https://app.example"}, timeout=20)
    named = ("content-type", "content-length", "etag", "cache-control", "accept-ranges", "access-control-allow-origin")
    assert (got.status_code, got.content, [got.headers[name] for name in named]) == (
        200,
        b"<p>hello",
        ["text/html", "8", etag, "max-age=60", "bytes", "*"],
    )
    part = requests.get(url, headers={"Range": "bytes=3-"}, timeout=20)
    assert (part.status_code, part.content, part.headers["content-range"]) == (206, b"hello", "bytes 3-7/8")
    assert requests.get(url, headers={"If-None-Match": etag}, timeout=20).status_code == 304
    assert requests.get(url, headers={"Range": "bytes=8-"}, timeout=20).headers["content-range"] == "bytes */8"
    head = requests.head(url, timeout=20)
    assert (head.headers["content-length"], head.content) == ("8", b"")
    for path in ["", "site/", "missing"]:
        assert requests.get(f"{backend.public}/{path}", timeout=20).status_code == 404
    asked = {"Origin": "https://app.example", "Access-Control-Request-Method": "GET"}
    assert requests.options(url, headers=asked, timeout=20).headers["access-control-allow-origin"] == "*"
    rule = {"AllowedOrigins": ["https://app.example"], "AllowedMethods": ["GET"], "ExposeHeaders": ["ETag"]}
    s3.put_bucket_cors(Bucket="published", CORSConfiguration={"CORSRules": [rule]})
    got = requests.get(url, headers={"Origin": "https://app.example"}, timeout=20)
    assert got.headers["access-control-allow-origin"] == "https://app.example"
    other = requests.get(url, headers={"Origin": "https://other.example"}, timeout=20)
    assert "access-control-allow-origin" not in other.headers
    assert requests.put(url, data=b"", timeout=20).status_code == 405


def test_a_private_bucket_is_not_there(backend):
    s3 = backend.s3(endpoint=backend.root)
    s3.put_bucket_acl(Bucket="published", ACL="private")
    assert requests.get(f"{backend.public}/site/index%20page.html", timeout=20).status_code == 404
