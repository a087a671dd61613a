"""How many threads the core uses."""

from tensorquant import _core
from tensorquant.numbers.checks import Count, checked


def get_num_threads() -> int:
    """How many threads a call can use.

    Returns:
        Their number, 1 or more.

    Example:
        >>> get_num_threads() >= 1
        True
    """
    return _core.get_num_threads()


@checked
def set_num_threads(threads: Count) -> None:
    """Sets how many threads all calls in this process use. Results do not depend on it.

    Args:
        threads: Their number; 0 for as many as the machine has.

    Raises:
        Error: The number is negative.

    Example:
        >>> set_num_threads(1)
        >>> get_num_threads()
        1
        >>> set_num_threads(0)
    """
    _core.set_num_threads(threads)
