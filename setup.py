"""Installs the `meta_keras` package."""

import pathlib

import setuptools

HERE = pathlib.Path(__file__).parent


def requirements():
    lines = (HERE / "requirements.txt").read_text().splitlines()
    stripped = (line.split("#")[0].strip() for line in lines)
    return [line for line in stripped if line]


setuptools.setup(
    name="meta_keras",
    version="0.2.0",
    description="Learning to learn in Keras: few-shot learners and learned optimizers.",
    long_description=(HERE / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=setuptools.find_packages(include=["meta_keras", "meta_keras.*"]),
    package_data={"meta_keras": ["presets/*/*", "data/class_lists/*/*.txt"]},
    install_requires=requirements(),
    extras_require={
        "demo": ["gradio>=6.0,<7"],
        "dev": ["import-linter>=2.1,<3", "pytest>=8.0", "pytest-xdist>=3.7", "ruff>=0.6"],
        "docs": [
            "mkdocs>=1.6,<2",
            "mkdocs-material>=9.6,<10",
            "mkdocstrings[python]>=1.0,<2",
        ],
    },
    classifiers=[
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
