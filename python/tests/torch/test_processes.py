"""Models on several processes: the bits of one process, or an error in our words."""

import json

import process_work
import pytest
import torch
from torch import distributed


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What each process has found, by the kind of work."""
    if not distributed.is_available():
        pytest.skip("PyTorch was built without torch.distributed")
    folder = tmp_path_factory.mktemp("processes")
    count = process_work.PROCESSES
    torch.multiprocessing.spawn(process_work.main, (str(folder),), nprocs=count)
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(count)]


@pytest.mark.parametrize(
    "how", ["data parallel", "quantized, then sharded", "sharded, then quantized"]
)
def test_training_on_two_processes_has_the_bits_of_one(found, how):
    assert [one[how] for one in found] == [True, True]


@pytest.mark.parametrize(
    "how, words",
    [
        ("quantized, then FSDP1", "is no parameter of it any more. Of FullyShardedDataParallel"),
        ("FSDP1, then quantized", "quantize the model inside and use fully_shard() instead"),
        ("tensor parallel", "a tensor is shared out among processes (DTensor, tensor parallel)"),
    ],
)
def test_what_does_not_work_says_so(found, how, words):
    for one in found:
        assert words in one[how] and "\n" not in one[how]
