#!/bin/sh
# Builds dist/: the sdist, a wheel from it, the SBOM of both with what config/requirements.txt adds, and checksums.
# `make dist` calls it with the folder of its programs. It needs the package index.
set -eu

bin=$1
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cd "$root"
version=$("$bin/python" -c 'from service import __version__; print(__version__)')
rm -rf dist
"$bin/python" -m hatchling build -t sdist -d "$root/dist" > /dev/null
tar -xzf "dist/pushprune-$version.tar.gz" -C "$work"
(cd "$work/pushprune-$version" && "$bin/python" -m hatchling build -t wheel -d "$root/dist" > /dev/null)

# The environment that the image has, so that the SBOM names what really is installed.
"$bin/python" -m venv --without-pip "$work/venv"
python=$work/venv/bin/python
"$bin/python" -m pip --quiet --python "$python" install --require-hashes -r config/requirements.txt
"$bin/python" -m pip --quiet --python "$python" install --no-deps dist/*.whl
"$work/venv/bin/pushprune" --version
# The tool does not know where the version comes from.
sed "s/^dynamic = .*/version = \"$version\"/" pyproject.toml > "$work/pyproject.toml"
"$bin/cyclonedx-py" environment --pyproject "$work/pyproject.toml" --output-reproducible \
    --output-file "dist/pushprune-$version.cdx.json" "$python"

(cd dist && sha256sum -- * > SHA256SUMS && cat SHA256SUMS)
