"""Chance that can be had again, for tests that play somebody's enemy."""

import random

import pytest

from tests.kit.seeds import announced, seed_of_run


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    return seed_of_run(is_soak=request.node.get_closest_marker("soak") is not None)


@pytest.fixture
def chance(seed: int) -> random.Random:
    """The one source of randomness of a test; its seed is shown when the test fails."""
    return announced(seed)
