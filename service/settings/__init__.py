"""Typed settings from YAML, the environment and secret files; nonsense is refused at the start with one sentence.

model.py     what can be set, its defaults and its limits
document.py  one YAML file, with the line of every key
layers.py    who says what: overrides, environment, file, secret files; the stronger wins
refusal.py   a validation error as one sentence that names place, key and the nearest right word
loading.py   load_settings, load_policy, parse_policy, policy_faults
reload.py    PolicySource: the policy in force, read again when its file changes
"""

from service.settings.loading import load_policy, load_settings, parse_policy, policy_faults
from service.settings.model import Settings
from service.settings.reload import PolicySource

__all__ = ["PolicySource", "Settings", "load_policy", "load_settings", "parse_policy", "policy_faults"]
