from tests.parity.vlp.conftest import device  # noqa: F401
