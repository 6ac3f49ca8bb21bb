"""Typed settings from YAML, the environment and secret files. Invalid settings are refused at the start.

model.py     all sections together, and the checks between them
sections.py  the sections, with keys, defaults and descriptions; the long ones are in registry.py, gc.py, webhooks.py
kinds.py     the kinds of values, with their checks
layers.py    the sources of settings: overrides, environment, file, secret files; the stronger source wins
loading.py   load_settings, setting_faults, load_policy, parse_policy, policy_faults
reload.py    PolicySource: the policy in force, read again when its file changes
"""

from service.settings.loading import load_policy, load_settings, parse_policy, policy_faults, setting_faults
from service.settings.model import Settings
from service.settings.reload import PolicySource

__all__ = [
    "PolicySource",
    "Settings",
    "load_policy",
    "load_settings",
    "parse_policy",
    "policy_faults",
    "setting_faults",
]
