"""Names that lie, through the operating system's own resolver: a machine of our own (a network namespace) has public and private
addresses and a name server that rebinds, mixes, chains and synthesises; the real binary asks it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import ExtendedKeyUsageOID
from test_egress import made

SCENE = Path(__file__).parent / "harness" / "namespace.py"
# Who is not root becomes it in a namespace of users, where that is allowed: over nothing but the machine of our own.
ALONE = ["unshare", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"]), "--net", "--mount"]
NAMES = ["outside", "six", "both", "chain-out", "hosted", "rebinds", "nowhere"]


def missing():
    """Why there can be no machine of our own here."""
    if sys.platform != "linux":
        return "only Linux has networks of one's own"
    if not (shutil.which("unshare") and shutil.which("ip") and shutil.which("mount")):
        return "`unshare`, `ip` or `mount` is not there"
    tried = subprocess.run([*ALONE, "ip", "link", "set", "lo", "up"], capture_output=True, text=True)
    return None if tried.returncode == 0 else f"no network of its own here: {tried.stderr.strip()}"


def certificates(folder):
    """An authority, and what it has signed for every name that leads outside."""
    subject, authority, root = made("tests", None, [x509.BasicConstraints(ca=True, path_length=None)])
    names = x509.SubjectAlternativeName([x509.DNSName(f"{name}.example") for name in NAMES])
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    _, key, leaf = made("outside.example", (subject, authority), [names, usage])
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    files = [folder / "root.pem", folder / "site.pem", folder / "site.key"]
    for file, content in zip(files, (root, leaf, secret)):
        file.write_bytes(content)
    return files


@pytest.mark.timeout(300)
def test_names_that_lie_to_the_systems_resolver(tmp_path):
    if reason := missing():
        pytest.skip(reason)
    done = subprocess.run(
        [*ALONE, sys.executable, str(SCENE), str(tmp_path), *map(str, certificates(tmp_path))],
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    came = [(one["url"].removeprefix("https://").strip("/"), one["code"]) for one in told["asked"]]
    assert came == [
        *[(f"{name}.example", "200") for name in ("outside", "six", "both", "chain-out", "hosted")],
        *[(f"{name}.example", "SSRF_BLOCKED") for name in (
            "inside", "cloud", "shared", "mixed", "mixed-six", "mapped", "dns64", "dns64-own", "dns64-beside", "chain",
        )],
        ("circle.example", "DNS_FAILED"),
        ("empty.example", "DNS_FAILED"),
        ("many.example", "DNS_FAILED"),
        ("many-and-one.example", "SSRF_BLOCKED"),
        ("another.example", "DNS_FAILED"),
        ("nowhere.example", "DNS_FAILED"),
        ("fails.example", "DNS_FAILED"),
        ("silent.example", "DNS_FAILED"),
        ("rebinds.example", "200"),
        ("rebinds.example", "SSRF_BLOCKED"),
        ("outside.example.", "200"),
        ("OUTSIDE.example", "200"),
    ]
    # Nobody who listens inside was reached, and nobody was asked for another name than the one that was judged.
    assert told["trapped"] == {address: 0 for address in told["trapped"]}
    for one in told["asked"]:
        name = one["url"].removeprefix("https://").strip("/").strip(".").lower()
        expected = [] if name == "hosted.example" else [name]
        assert one["asked"] == expected
        assert not any("corp.test" in asked for asked in one["asked"])
    # Who is refused by what is written there asks nobody.
    for one in told["refused"]:
        assert one["code"] in ("SSRF_BLOCKED", "INVALID_URL", "HTTPS_REQUIRED", "DOMAIN_BANNED"), one
        assert one["questions"] == 0, one
    assert told["connections"] == len(told["came"]) == 8
