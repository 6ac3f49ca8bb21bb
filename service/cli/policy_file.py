"""A policy file, or a configuration that holds or names a policy."""

from pathlib import Path

from service.documents.reader import read_mapping
from service.domain.errors import ConfigurationError
from service.domain.policy.model import Policy
from service.settings import Settings, load_policy, load_settings, policy_faults


def load_policy_file(file: Path) -> Policy:
    """Return the policy of a policy file or of a configuration file. Raises ConfigurationError with one sentence."""
    if not _is_configuration(file):
        return load_policy(file)
    configured = load_settings(file, environ={}).policy
    policy = load_policy(configured) if isinstance(configured, Path) else configured
    return policy or Policy()


def faults_of(file: Path) -> tuple[str, ...]:
    """Return every fault of the file's policy, a sentence each; () for a valid policy."""
    try:
        if not _is_configuration(file):
            _refuse_without_policy(file)
            return policy_faults(file)
        configured = load_settings(file, environ={}).policy
        return policy_faults(configured) if isinstance(configured, Path) else ()
    except ConfigurationError as error:
        return (str(error),)


def _refuse_without_policy(file: Path) -> None:
    known = read_mapping(file).values.keys()
    if known and known <= Settings.model_fields.keys():
        raise ConfigurationError(f"{file}: this is a configuration without a policy")


def _is_configuration(file: Path) -> bool:
    return "policy" in read_mapping(file).values
