"""What the tests share: a store in a new directory, and the root of the sources for the golden files."""

import pathlib

import pytest

import atoll

ROOT = pathlib.Path(__file__).resolve().parents[3]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store"


@pytest.fixture
def db(path):
    with atoll.open(path) as store:
        yield store
