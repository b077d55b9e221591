"""Double precision for all tests, public functions that keep to their signatures, long physics tests on demand."""

import os

import jax
import pytest

import signatures

jax.config.update("jax_enable_x64", True)
signatures.check_all()


@pytest.fixture(autouse=True)
def _signatures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    room = request.path.parent.name
    looked_at = room in signatures.ROOMS or os.environ.get("NEURHO_SIGNATURES") == "all"
    monkeypatch.setattr(signatures.Switch, "on", looked_at)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also run the long physics tests")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--slow"):
        for item in items:
            if "slow" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="needs --slow"))
