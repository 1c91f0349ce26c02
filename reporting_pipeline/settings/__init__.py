"""Every setting of a deployment, typed, from the environment. Nothing else reads os.environ.

Sources, the first that names a variable wins: the environment, a file `.env` in the current folder, and
the folder REPORTING_SECRETS_DIR with a file for each variable. A misspelt REPORTING_ variable raises with
the name that was probably meant, wherever it stands; so does what cannot work in a production deployment.

Belongs here: the settings (`model`), what single values must be (`values`), where they are read (`loading`),
and what a local home keeps of its deployment (`home`). Keep out: what a setting is for.
"""

from reporting_pipeline.settings.home import forget_servers, remember_servers
from reporting_pipeline.settings.loading import (
    SECRETS_DIR,
    SettingsError,
    child_environment,
    current_settings,
    load_settings,
    value_in_environment,
    with_own_secrets,
    with_servers_of_home,
)
from reporting_pipeline.settings.model import Settings, variable_names
from reporting_pipeline.settings.values import LOCAL_SECRET, source_tree

__all__ = [
    "LOCAL_SECRET",
    "SECRETS_DIR",
    "Settings",
    "SettingsError",
    "child_environment",
    "current_settings",
    "forget_servers",
    "load_settings",
    "remember_servers",
    "source_tree",
    "value_in_environment",
    "variable_names",
    "with_own_secrets",
    "with_servers_of_home",
]
