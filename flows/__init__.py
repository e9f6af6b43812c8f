"""Prefect flows and DVC versioning around ``star_core``: how a search runs and what of it is kept.

Importing this package sets defaults for Prefect that must stand before Prefect is imported: no calls
home, patience with a slow machine when the embedded server starts, half a minute of it with a server
that is away, quiet logs. Whatever the environment already says is kept.
"""

import os

DEFAULTS = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_INTERNAL_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_CLIENT_MAX_RETRIES": "4",
    "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "false",
    "DVC_NO_ANALYTICS": "1",
}
for _name, _value in DEFAULTS.items():
    os.environ.setdefault(_name, _value)
