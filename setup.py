"""Build and dependencies of skdiffence. The lower bounds are what ``tox -e oldest`` tests."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent


def read_version():
    """Read the version without importing the package, which needs its dependencies."""
    text = (HERE / "skdiffence" / "__init__.py").read_text(encoding="utf-8")
    return re.search(r'^__version__ = "([^"]+)"$', text, flags=re.MULTILINE).group(1)


PLOT = ["matplotlib>=3.8"]
AUDIT = ["adversarial-robustness-toolbox>=1.20", "pandas>=2.2"]
PRIVACY = ["opacus>=1.6"]
SERVE = ["fastapi>=0.115", "uvicorn>=0.30"]
TESTS = ["distributed>=2024.1", "httpx2>=2.16", "hypothesis>=6.100", "numpydoc>=1.7", "polars>=1.30", "psutil>=5.9"]
TESTS += ["pyarrow>=16.0", "pytest>=8.2", "pytest-xdist>=3.8"]
TESTS += [*AUDIT, *PLOT, *PRIVACY, *SERVE]
LINT = ["import-linter>=2.17", "ruff>=0.17"]
DOCS = ["docutils>=0.22", "grimp>=3.14", "numpydoc>=1.7", "pandas>=2.2", "pydata-sphinx-theme>=0.15", "sphinx>=9.0"]
DOCS += ["sphinx-gallery>=0.18", *PLOT]

setup(
    name="skdiffence",
    version=read_version(),
    description="Membership privacy for trained classifiers: measure the leak, then lower it without one changed label",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author="The skdiffence developers",
    license="BSD-3-Clause",
    packages=find_packages(include=["skdiffence", "skdiffence.*"]),
    package_data={"skdiffence.inspection.report": ["*.css", "*.jinja"]},
    entry_points={"console_scripts": ["skdiffence = skdiffence.__main__:main"]},
    python_requires=">=3.11",
    install_requires=[
        "diffusers>=0.33.1",
        "jinja2>=3.1.2",
        "joblib>=1.4.2",
        "numpy>=2.0.2",
        "pillow>=10.0.0",
        "safetensors>=0.4.3",
        "scikit-learn>=1.8.0",
        "scipy>=1.13.1",
        "skorch>=1.4.0",
        "tabulate>=0.9.0",
        "threadpoolctl>=3.2.0",
        "torch>=2.13.0",
        "tqdm>=4.66.1",
    ],
    extras_require={
        "audit": AUDIT,
        "docs": DOCS,
        "lint": LINT,
        "persistence": ["skops>=0.11"],
        "plot": PLOT,
        "privacy": PRIVACY,
        "serve": SERVE,
        "tests": TESTS,
    },
    classifiers=[
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
