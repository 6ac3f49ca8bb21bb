"""Make a certificate authority and a certificate for 127.0.0.1 with openssl."""

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Certificates:
    """Files in PEM: the authority's certificate, and certificate and key of a server on 127.0.0.1."""

    authority: Path
    server: tuple[Path, Path]


def make_certificates(directory: Path, *, days: int = 2) -> Certificates:
    """Make an authority that is valid for two days and a certificate, which takes some 50 ms.

    days: how long the certificate is valid; 0: it has expired already.
    """
    key_type = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    _openssl(
        directory,
        *(
            "req",
            "-x509",
            *key_type,
            "-keyout",
            "ca.key",
            "-out",
            "ca.pem",
            "-days",
            "2",
            "-subj",
            "/CN=test authority",
        ),
        *("-addext", "keyUsage=critical,keyCertSign"),
    )
    _openssl(directory, "req", *key_type, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=test registry")
    (directory / "extensions").write_text("subjectAltName=IP:127.0.0.1\nauthorityKeyIdentifier=keyid\n")
    _openssl(
        directory,
        *("x509", "-req", "-in", "server.csr", "-out", "server.pem", "-days", str(days), "-extfile", "extensions"),
        *("-CA", "ca.pem", "-CAkey", "ca.key", "-set_serial", "1"),
    )
    return Certificates(directory / "ca.pem", (directory / "server.pem", directory / "server.key"))


def _openssl(directory: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)
