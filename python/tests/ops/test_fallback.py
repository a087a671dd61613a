"""The cache of compiled ops, and what happens where none can be compiled."""

import os
import subprocess
import sys
import textwrap

import frameworks
import pytest

FRAMEWORKS = [name for name in ("tensorflow", "jax") if frameworks.is_installed(name)]

# Prints the bits of outputs and gradients, a line each.
PROGRAM = """
    import sys, warnings
    sys.path.insert(0, {folder!r})
    import numpy as np
    import frameworks
    from tensorquant import ops

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        f = frameworks.CLASSES[{name!r}]()
        # Along the first axis, of length 1, each element is a block of its own.
        x = np.array([[0.3, -9, 1e-41, -0.0, np.inf, 7.97, np.nan]], np.float32)
        for dtype in (np.float32, np.float16, frameworks.ml_dtypes.bfloat16):
            t = x.astype(dtype)
            block = "float,4,3,block=4,grad=clipped,rounding=stochastic,scale=ceil"
            for spec in ("nearest,8,4,grad=clipped", "stochastic,8,4", "ternary", "none", block):
                options = dict(seed=2**63 + 5, stream=3, step=9, reduction_axis=0)
                function = lambda a: f.ops.quantize(a, spec, **options)
                y, (dx,) = f.vjp(function, [t], t)
                print(frameworks.bits(y), frameworks.bits(dx))
                print(frameworks.bits(f.array(f.compiled(function)(f.tensor(t)))))
        a, b = np.eye(2, dtype=np.float32) * 3, np.ones((2, 2), np.float32)
        for accumulator in ("nearest,3,0,grad=clipped", "stochastic,8,4"):
            operation = ops.linear("none", accumulator)
            function = lambda a, b: f.ops.arithmetic(
                operation, a, b, float_function=lambda a, b: a @ f.transposed(b), step=4
            )
            y, gradients = f.vjp(function, [a, b], b)
            print(y, *gradients)
    for w in caught:
        if "tensorquant" in str(w.message):
            print("warning:", w.message, file=sys.stderr)
"""


def run(name, **environment):
    program = textwrap.dedent(PROGRAM).format(folder=os.path.dirname(__file__), name=name)
    return subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    out, err = process.communicate(timeout=500)
    assert process.returncode == 0, err
    return out, [line for line in err.splitlines() if "tensorquant" in line]


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_concurrent_builds_and_fallbacks_have_the_same_bits(name, tmp_path):
    cache = str(tmp_path / "new" / "cache")
    both = [run(name, TENSORQUANT_CACHE=cache) for _ in range(2)]
    (first, said), (second, said_too) = map(finish, both)
    assert first.count("\n") > 20
    assert first == second
    # One of them compiled, with a notice, and left nothing but the library and its lock.
    assert len(said + said_too) == 1
    assert "compiling its op" in (said + said_too)[0]
    assert sorted(path.rsplit(".")[-1] for path in os.listdir(cache)) == ["lock", "so"]

    # From the cache: even a compiler that fails is not asked.
    assert finish(run(name, TENSORQUANT_CACHE=cache)) == (first, [])

    for environment, reason in (
        ({"TENSORQUANT_OPS": "fallback"}, "asks for none"),
        ({"CXX": "no-such-compiler"}, "CXX=no-such-compiler is not found"),
        ({"CXX": "false"}, "false failed"),
    ):
        out, said = finish(run(name, TENSORQUANT_CACHE=str(tmp_path / "other"), **environment))
        assert out == first
        warnings = [line for line in said if line.startswith("warning:")]
        assert len(warnings) == 1
        assert reason in warnings[0]
        assert "the same bits, but slower" in warnings[0]


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_cache_that_cannot_be_written_is_one_warning(name, tmp_path):
    file = tmp_path / "file"
    file.touch()
    _, said = finish(run(name, TENSORQUANT_CACHE=str(file)))
    assert len([line for line in said if line.startswith("warning:")]) == 1


def test_no_framework_is_imported_before_it_is_asked_for():
    program = "import sys, tensorquant.ops; print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert not {"torch", "tensorflow", "jax", "keras"} & set(run.stdout.split())
