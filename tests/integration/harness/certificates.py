# SPDX-License-Identifier: Apache-2.0
"""certificates.py - a certificate authority of a test, made with the openssl command."""

import os
import subprocess


def _openssl(*args: str) -> None:
    done = subprocess.run(["openssl", *args], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"openssl {args[0]}: {done.stderr}"


class Authority:
    """Signs certificates in `folder`; `ca` is its own, which clients and servers are to trust."""

    def __init__(self, folder: str, name: str = "ca"):
        self._folder, self._name = str(folder), name
        self.ca, self._key = self._path(f"{name}.pem"), self._path(f"{name}.key")
        _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                 "-keyout", self._key, "-out", self.ca, "-days", "2", "-subj", f"/CN=test {name}")

    def _path(self, name: str) -> str:
        return os.path.join(self._folder, name)

    def issue(self, common_name: str, alt_names: str = "", days: int = 2) -> tuple[str, str]:
        """Returns (certificate, key); `alt_names` is such as "DNS:localhost,IP:127.0.0.1". With -1
        days it has expired."""
        stem = self._path(f"{self._name}-{common_name}")
        cert, key, request, extra = f"{stem}.pem", f"{stem}.key", f"{stem}.csr", f"{stem}.ext"
        _openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                 "-keyout", key, "-out", request, "-subj", f"/CN={common_name}")
        with open(extra, "w", encoding="ascii") as f:
            f.write("basicConstraints=CA:FALSE\n")
            if alt_names:
                f.write(f"subjectAltName={alt_names}\n")
        _openssl("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self._key, "-CAcreateserial",
                 "-out", cert, "-days", str(days), "-extfile", extra)
        return cert, key
