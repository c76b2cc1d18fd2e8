"""An S3 client that goes on after a refusal, and what a thief would try with a stolen key."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

import requests
from requests_aws4auth import AWS4Auth

PART = 5 * 2**20  # what S3 takes as a part at least


@dataclass(frozen=True, kw_only=True)
class S3:
    """Requests of a user, signed."""

    endpoint: str
    access_key: str
    secret_key: str

    def call(
        self,
        method: str,
        bucket: str = "",
        key: str = "",
        query: str = "",
        body: bytes = b"",
        **headers: str,
    ) -> requests.Response:
        """The answer to one request, whatever it is."""
        # A slash as %2F: requests would take `..` out of the path.
        path = f"/{quote(key, safe='' if '..' in key else '/')}" if key else ""
        url = f"{self.endpoint}/{bucket}{path}" + (f"?{query}" if query else "")
        auth = AWS4Auth(self.access_key, self.secret_key, "us-east-1", "s3")
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return requests.request(method, url, data=body, headers=sent, auth=auth, timeout=20)

    def get(self, bucket: str, key: str) -> requests.Response:
        return self.call("GET", bucket, key)

    def put(self, bucket: str, key: str, body: bytes) -> requests.Response:
        return self.call("PUT", bucket, key, body=body)

    def put_in_parts(self, bucket: str, key: str) -> requests.Response:
        """The first answer that refuses, or the last one."""
        begun = self.call("POST", bucket, key, "uploads=")
        if not begun.ok:
            return begun
        (upload,) = re.findall(r"<UploadId>(.+)</UploadId>", begun.text)
        parts = ""
        for number in (1, 2):
            sent = self.call("PUT", bucket, key, f"partNumber={number}&uploadId={upload}", b"a" * PART)
            if not sent.ok:
                return sent
            parts += f"<Part><PartNumber>{number}</PartNumber><ETag>{sent.headers['ETag']}</ETag></Part>"
        body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
        return self.call("POST", bucket, key, f"uploadId={upload}", body)

    def attempts(
        self, bucket: str, key: str, other: str, other_key: str
    ) -> Iterator[tuple[str, requests.Response]]:
        """What a thief tries, by name.

        :param bucket: of the logs; there is an object with the key.
        :param other: another bucket; there is an object with the other key.
        """
        yield "get", self.get(bucket, key)
        yield "head", self.call("HEAD", bucket, key)
        yield "list", self.call("GET", bucket, query="list-type=2")
        yield "list versions", self.call("GET", bucket, query="versions=")
        yield "list uploads", self.call("GET", bucket, query="uploads=")
        yield "add below logs/", self.put(bucket, "logs/thief/1/build-log.txt", b"thief")
        yield "add below pr-logs/", self.put(bucket, "pr-logs/thief/1/build-log.txt", b"thief")
        yield "add in parts", self.put_in_parts(bucket, "logs/thief/1/large")
        yield "overwrite", self.put(bucket, key, b"overwritten")
        yield "add elsewhere", self.put(bucket, "elsewhere", b"thief")
        yield "add by a path", self.put(bucket, f"logs/../../{other}/thief", b"thief")
        yield "delete", self.call("DELETE", bucket, key)
        yield "tag", self.call("PUT", bucket, key, "tagging=", b"<Tagging><TagSet></TagSet></Tagging>")
        yield "publish", self.call("PUT", bucket, key, "acl=", x_amz_acl="public-read")
        yield "get state", self.get(other, other_key)
        yield "list state", self.call("GET", other, query="list-type=2")
        yield "change state", self.put(other, other_key, b"{}")
        yield "delete state", self.call("DELETE", other, other_key)
        yield "copy state", self.call("PUT", bucket, "logs/copy", x_amz_copy_source=f"{other}/{other_key}")
        yield "make a bucket", self.call("PUT", "thief")
        yield "delete a bucket", self.call("DELETE", other)
        yield "read the policy", self.call("GET", bucket, query="policy=")
        yield "write a policy", self.call("PUT", bucket, query="policy=", body=b'{"Statement": []}')
        yield "publish the bucket", self.call("PUT", bucket, query="acl=", x_amz_acl="public-read")
        yield "make a user", self.call("PATCH", "create-user", body=b"<Account><Access>a</Access></Account>")
        yield "list users", self.call("PATCH", "list-users")
        yield "list all buckets", self.call("PATCH", "list-buckets")
