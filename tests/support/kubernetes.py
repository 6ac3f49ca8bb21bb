"""The manifests of config/kubernetes, built with kustomize, and their parts."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.support.manual import ROOT

KUBERNETES = ROOT / "config/kubernetes"
SECRETS = "/run/secrets/pushprune"
Manifest = dict[str, Any]


def copy_with_secrets(folder: Path) -> Path:
    """Copy the manifests, and make the secrets as example/kustomization.yaml says."""
    shutil.copytree(KUBERNETES, folder, ignore=shutil.ignore_patterns("secrets"))
    secrets = folder / "example/secrets"
    subprocess.run(["sh", str(ROOT / "config/secrets.sh"), str(secrets)], check=True, capture_output=True)
    (secrets / "storage_secret_key").write_text("the-key-of-the-bucket")
    return folder


def build(folder: Path) -> list[Manifest]:
    """Build a folder with kustomize."""
    kustomize = shutil.which("kustomize")
    assert kustomize, "kustomize is missing; `make test` installs it as root on Debian"
    built = subprocess.run([kustomize, "build", str(folder)], capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return list(yaml.safe_load_all(built.stdout))


def of_kind(manifests: list[Manifest], *kinds: str) -> dict[str, Manifest]:
    """The manifests of these kinds by their names."""
    return {manifest["metadata"]["name"]: manifest for manifest in manifests if manifest["kind"] in kinds}


def pod(manifests: list[Manifest], name: str) -> Manifest:
    """The pod of a Deployment or StatefulSet."""
    spec: Manifest = of_kind(manifests, "Deployment", "StatefulSet")[name]["spec"]["template"]["spec"]
    return spec


def container(manifests: list[Manifest], name: str) -> Manifest:
    """The only container of such a pod."""
    (only,) = pod(manifests, name)["containers"]
    result: Manifest = only
    return result
