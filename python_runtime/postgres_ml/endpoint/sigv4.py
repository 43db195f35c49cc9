"""AWS Signature Version 4 of a POST request, as SageMaker's runtime asks for it.

Source: docs.aws.amazon.com, "Create a signed AWS API request"; its test suite's vectors are in the tests.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import quote


def signed_headers(
    secret: Mapping[str, str],
    host: str,
    path: str,
    body: bytes,
    headers: Mapping[str, str],
    region: str,
    moment: str,
    service: str = "sagemaker",
    method: str = "POST",
) -> dict[str, str]:
    """Return the headers with date and signature added.

    Parameters
    ----------
    secret : 'access_key_id', 'secret_access_key' and, of temporary credentials, 'session_token'
    path : without query, not yet percent-encoded beyond what the request line has
    headers : that are signed besides host and date
    moment : in UTC, '20150830T123600Z'
    """
    signed = {**{name.lower(): value.strip() for name, value in headers.items()}}
    signed["host"], signed["x-amz-date"] = host, moment
    if secret.get("session_token"):
        signed["x-amz-security-token"] = secret["session_token"]
    names = ";".join(sorted(signed))
    canonical = "\n".join(
        [
            method,
            quote(path, safe="/-_.~"),
            "",
            *(f"{name}:{signed[name]}" for name in sorted(signed)),
            "",
            names,
            hashlib.sha256(body).hexdigest(),
        ]
    )
    scope = f"{moment[:8]}/{region}/{service}/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{digest}"
    key = f"AWS4{secret['secret_access_key']}".encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    signed["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={secret['access_key_id']}/{scope}, SignedHeaders={names}, "
        f"Signature={signature}"
    )
    return signed
