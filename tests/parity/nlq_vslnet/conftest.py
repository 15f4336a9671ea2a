import pytest


@pytest.fixture(scope="session")
def device(request: pytest.FixtureRequest) -> str:
    """Where networks run: ``--device``."""
    return request.config.getoption("--device")
