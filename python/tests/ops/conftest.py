import functools

import frameworks
import pytest


@functools.cache
def _framework(name):
    return frameworks.CLASSES[name]()


@pytest.fixture(params=frameworks.NAMES)
def framework(request):
    """Each installed framework; see frameworks.py."""
    if not frameworks.is_installed(request.param):
        pytest.skip(f"{request.param} is not installed")
    return _framework(request.param)
