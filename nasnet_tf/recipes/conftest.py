"""Each test of this room begins and ends without bindings."""

import gin
import pytest


@pytest.fixture(autouse=True)
def _clean_gin():
    gin.clear_config()
    yield
    gin.clear_config()
