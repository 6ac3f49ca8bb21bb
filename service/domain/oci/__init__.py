"""The formats of the OCI and Docker specifications: names, manifests, platforms."""
