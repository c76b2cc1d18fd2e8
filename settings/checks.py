"""What texts must look like: names of GitHub, Kubernetes and S3, addresses, images, cron's schedules.

Each check takes any text at all and answers in time that grows with its length alone.
"""

import base64
import binascii
import json
import re
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import SplitResult, urlsplit

# Letters and digits are those of ASCII; names of other scripts look the same and are others.
# What GitHub accepts: https://docs.github.com/en/rest/repos/repos. An owner has 39 characters at most; `_` is in the
# names of Enterprise Managed Users.
OWNER = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,38})")
REPOSITORY = re.compile(OWNER.pattern + r"/(?!\.{1,2}$)[A-Za-z0-9._-]{1,100}(?<!\.git)")
EVENT = re.compile(r"\*|[a-z][a-z_]{0,99}")  # https://docs.github.com/en/webhooks/webhook-events-and-payloads
APP_ID = re.compile(r"[1-9][0-9]{0,18}|Iv[0-9A-Za-z.]{10,100}")
DNS_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")  # RFC 1123, as Kubernetes names namespaces
NODE_NAME = re.compile(r"(?=.{1,253}$)" + rf"{DNS_LABEL.pattern}(?:\.{DNS_LABEL.pattern})*")
NAMESPACED_NAME = re.compile(rf"{DNS_LABEL.pattern}/(?:{NODE_NAME.pattern})")
# https://kubernetes.io/docs/concepts/overview/working-with-objects/annotations/
ANNOTATION = re.compile(
    r"(?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
)
OAUTH_CLIENT = re.compile(r"[A-Za-z0-9.]{10,100}")  # 20 hexadecimal digits, or Ov23… of newer Apps
# A person, an organisation, or a team by its slug.
READER = re.compile(rf"@(?:{OWNER.pattern})|(?:{OWNER.pattern})(?:/[a-z0-9_](?:[-a-z0-9_]{{0,99}}))?")
TOKEN = re.compile(r"[!-~]+")
KEY = re.compile(r"(?!\.{1,2}$)[-._a-zA-Z0-9]{1,253}")  # k8s.io/apimachinery, IsConfigMapKey
SERVICE_NAME = re.compile(r"[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?")  # RFC 1035, as Kubernetes names Services
# https://kubernetes.io/docs/concepts/overview/working-with-objects/annotations/
ANNOTATION = re.compile(
    r"(?:[a-z0-9](?:[-.a-z0-9]{0,251}[a-z0-9])?/)?[A-Za-z0-9](?:[-._A-Za-z0-9]{0,61}[A-Za-z0-9])?"
)
IAM_ROLE = re.compile(r"arn:aws[-a-z]*:iam::[0-9]{12}:role/[!-~]{1,512}")
JOB_OBJECT = re.compile(rf"(?:Secret|ConfigMap|ServiceAccount)/{NODE_NAME.pattern}")
# https://cloud.google.com/iam/docs/service-accounts-create
GOOGLE_ACCOUNT = re.compile(r"[a-z0-9][-a-z0-9]{4,28}[a-z0-9]@[-a-z0-9.:]{6,60}\.iam\.gserviceaccount\.com")
ULTRAHOOK = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")  # lib/ultrahook/client.rb of the gem
QUANTITY = re.compile(
    r"0|[1-9][0-9]{0,11}(?:[KMGT]i|[kMGT])"
)  # a volume's, k8s.io/apimachinery/pkg/api/resource
AMOUNT = re.compile(r"(?:0|[1-9][0-9]{0,11})(?:\.[0-9]{1,3})?(?:m|[KMGT]i|[kMGT])?")  # the same, of anything
_RESOURCES = "(?:cpu|memory|ephemeral-storage)"
# https://kubernetes.io/docs/concepts/policy/resource-quotas/ and .../limit-range/
QUOTA = re.compile(rf"pods|(?:requests|limits)\.{_RESOURCES}")
LIMITS = re.compile(rf"(?:default|defaultRequest|min|max)\.{_RESOURCES}")
# A name (https://slack.com/help/articles/201402297) or an ID.
_SLACK_CHANNEL = re.compile(r"#?[^\sA-Z#@,.]{1,80}|[CGD][A-Z0-9]{8,20}")
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html; Google's rules allow `_` as well.
_BUCKET = re.compile(r"[a-z0-9][-._a-z0-9]{1,61}[a-z0-9]")
# https://github.com/distribution/reference/blob/main/regexp.go
IMAGE_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_REGISTRY = r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^/:\s\[\]]+)(?::(?P<port>[0-9]{1,5}))?"
_IMAGE_NAME = re.compile(rf"(?:{_REGISTRY}/)?{_COMPONENT}(?:/{_COMPONENT})*")
_REGISTRY_ALONE = re.compile(_REGISTRY)
_IMAGE = re.compile(rf"(?P<name>[^@]+?)(?::{IMAGE_TAG.pattern})?(?:@sha256:[0-9a-f]{{64}})?")
_DOMAIN = re.compile(
    r"(?=.{1,253}$)[A-Za-z0-9](?:[-A-Za-z0-9]{0,61}[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[-A-Za-z0-9]{0,61}[A-Za-z0-9])?)*"
)
_KEY = re.compile(r"-----BEGIN (RSA )?PRIVATE KEY-----")


def is_slack_channel(text: str) -> bool:
    """Whether it is the name or the ID of a channel."""
    return text.isprintable() and bool(_SLACK_CHANNEL.fullmatch(text))


def is_bucket(text: str) -> bool:
    """Whether S3 or Google would take it as a bucket's name."""
    return bool(_BUCKET.fullmatch(text)) and ".." not in text and _parse_ip(text) is None


def is_host(text: str) -> bool:
    """Whether it is an IP address, or a DNS name that cannot be taken for one."""
    if _parse_ip(text) is not None:
        return True
    # A name whose last label is a number is read as an IPv4 address: https://url.spec.whatwg.org/#host-parsing
    return bool(_DOMAIN.fullmatch(text)) and not text.rpartition(".")[2].isdecimal()


def is_loopback(host: str) -> bool:
    """Whether a host is the machine itself, in any of the forms that C libraries and browsers read."""
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    address = _parse_ip(name)
    if address is None:
        try:
            address = IPv4Address(socket.inet_aton(name))  # 127.1, 2130706433, 0x7f.1
        except (OSError, ValueError):
            return False
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_loopback or address.is_unspecified


def is_cidr(text: str) -> bool:
    """Whether it is a network's address with its length, as a NetworkPolicy has it."""
    try:
        return "/" in text and text.rpartition("/")[2].isdecimal() and bool(ip_network(text))
    except ValueError:
        return False


def is_url(text: str) -> bool:
    """Whether it is an http(s) URL with a host, without a user's name or password."""
    return split_url(text) is not None


def split_url(text: str) -> SplitResult | None:
    """The parts of an http(s) URL; None if it is none."""
    if not TOKEN.fullmatch(text):
        return None
    try:
        parts = urlsplit(text)
        port = parts.port  # raises when it is not a number in range
    except ValueError:
        return None
    valid = parts.scheme in ("http", "https") and parts.hostname and is_host(parts.hostname.removesuffix("."))
    return parts if valid and port != 0 and parts.username is None else None


def is_origin(text: str) -> bool:
    """Whether it is an http(s) URL with nothing behind the host and the port: deck's pages are at the root."""
    parts = split_url(text)
    return parts is not None and parts.path in ("", "/") and not parts.query and not parts.fragment


def is_gosmee(text: str) -> bool:
    """Whether it is the URL of a relay's server; smee.io writes payloads anew, so their signatures do not hold."""
    parts = split_url(text)
    return parts is not None and (parts.hostname or "").rstrip(".") not in ("smee.io", "www.smee.io")


def is_hook_url(text: str) -> bool:
    """Whether it is a URL at which hook reads webhooks. It answers 200 at any path, and reads them at /hook alone.

    A proxy may serve hook below a path of its own. Source: https://github.com/kubernetes/test-infra/issues/9639
    """
    parts = split_url(text)
    return parts is not None and parts.path.endswith("/hook") and not parts.query and not parts.fragment


def is_image(text: str) -> bool:
    """Whether it is an image with a tag or a digest."""
    found = _IMAGE.fullmatch(text)
    return found is not None and found["name"] != text and is_image_path(found["name"])


def is_image_path(text: str) -> bool:
    """Whether images may be below this path of a registry."""
    path = text.removesuffix("/")
    found = _IMAGE_NAME.fullmatch(path) or _REGISTRY_ALONE.fullmatch(path)
    if found is None:
        return False
    host, port = found["host"], found["port"]
    return (host is None or is_host(host.strip("[]"))) and (port is None or 0 < int(port) < 65536)


def is_private_key(text: str) -> bool:
    """Whether it holds an RSA private key in PEM form that is not encrypted."""
    begin = _KEY.search(text)
    if begin is None:
        return False
    body, end, _ = text[begin.end() :].partition(f"-----END {begin[1] or ''}PRIVATE KEY-----")
    return bool(end) and bool(decode_base64(body))


def decode_base64(text: str) -> bytes | None:
    """The bytes of a base64 text, in which white space does not count; None if it is none."""
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return None


def is_s3_key(text: str) -> bool:
    """Whether it is the name of an access key and its secret, with a colon between them."""
    access_key, colon, secret_key = text.partition(":")
    return bool(colon and TOKEN.fullmatch(access_key) and TOKEN.fullmatch(secret_key))


def is_service_account(text: str) -> bool:
    """Whether it is the JSON key of a Google service account, as far as deck reads it to sign links.

    Source: SignedURL in pkg/io/opener.go of kubernetes-sigs/prow.
    """
    try:
        key = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(key, dict) and key.get("type") == "service_account" and bool(key.get("private_key"))


_FACTORS = {"": 1, **{f"{unit}i": 2 ** (10 * power) for power, unit in enumerate("KMGT", 1)}}
_FACTORS |= {unit: 1000**power for power, unit in enumerate("kMGT", 1)}


def count_bytes(quantity: str) -> int:
    """The bytes of a QUANTITY."""
    digits = quantity.rstrip("KMGTki")
    return int(digits) * _FACTORS[quantity[len(digits) :]]


def is_identity(text: str) -> bool:
    """Whether it is the ARN of an IAM role or the address of a Google service account."""
    return bool(IAM_ROLE.fullmatch(text) or GOOGLE_ACCOUNT.fullmatch(text))


# Fields of a schedule, as github.com/robfig/cron's ParseStandard reads it for a CronJob.
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_FIELDS: tuple[tuple[int, int, dict[str, int]], ...] = (
    (0, 59, {}),
    (0, 23, {}),
    (1, 31, {}),
    (1, 12, {name: number for number, name in enumerate(_MONTHS, 1)}),
    (0, 6, {name: number for number, name in enumerate(_DAYS)}),
)
_RANGE = re.compile(r"(?:[*?]|([0-9a-z]{1,3})(?:-([0-9a-z]{1,3}))?)(?:/([0-9]{1,3}))?")


def is_schedule(text: str) -> bool:
    """Whether a CronJob takes it: five fields with numbers in their ranges."""
    fields = text.lower().split()
    return len(fields) == len(_FIELDS) and all(
        _is_cron_range(part, *limits)
        for field, limits in zip(fields, _FIELDS, strict=True)
        for part in field.split(",")
    )


def _is_cron_range(text: str, first: int, last: int, names: dict[str, int]) -> bool:
    found = _RANGE.fullmatch(text)
    if found is None or (found[3] is not None and int(found[3]) == 0):
        return False
    if found[1] is None:
        return True
    ends = [end for end in found.group(1, 2) if end is not None]
    numbers = [names.get(end, int(end) if end.isdecimal() else -1) for end in ends]
    return all(first <= number <= last for number in numbers) and numbers == sorted(numbers)


def _parse_ip(text: str) -> IPv4Address | IPv6Address | None:
    if "%" in text:  # a zone holds on one machine only
        return None
    try:
        return ip_address(text)
    except ValueError:
        return None
