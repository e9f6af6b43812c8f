"""Installs the folder ``flows/`` as the package ``star_flows``: a user's own ``flows`` is not shadowed.

Everything else about the project stands in ``pyproject.toml``.
"""

from setuptools import find_packages, setup

setup(
    packages=[
        *find_packages(include=["star_core", "star_core.*"]),
        *("star_" + name for name in find_packages(include=["flows", "flows.*"])),
    ],
    package_dir={"star_flows": "flows"},
)
