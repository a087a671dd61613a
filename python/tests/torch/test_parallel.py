"""Models that are shared out: what works, and what says that it does not."""

import copy

import hands
import models
import pytest
import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

import tensorquant as tq
import tensorquant.torch as tqt

SPEC = "nearest,8,4"


@pytest.fixture
def one_process(tmp_path):
    if not distributed.is_available():
        pytest.skip("PyTorch was built without torch.distributed")
    store = distributed.FileStore(str(tmp_path / "store"), 1)
    distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


def test_distributed_data_parallel_gives_the_same_bits(one_process):
    model, x = models.make("resnet")
    tqt.quantize_model(model, weights=SPEC, extrinsic="stochastic,12,6")
    wanted = hands.gradients(copy.deepcopy(model), x)
    assert hands.same_bits(hands.gradients(DistributedDataParallel(model), x), wanted)
    assert set(tqt.layer_steps(model).values()) == {1}


@pytest.mark.parametrize("first", ["quantized", "sharded"])
def test_fully_shard_works_in_both_orders(one_process, first):
    fsdp = pytest.importorskip("torch.distributed.fsdp")
    mesh = distributed.init_device_mesh("cpu", (1,))
    model, x = models.make("resnet")
    wanted, floats = hands.quantized_copy(model, SPEC)(x), copy.deepcopy(model)(x)
    if first == "quantized":
        tqt.quantize_model(model, weights=SPEC)
    fsdp.fully_shard(model, mesh=mesh)
    if first == "sharded":
        tqt.quantize_model(model, weights=SPEC)
    assert hands.same_bits(model(x), wanted)
    plain = tqt.strip(model)
    assert isinstance(plain, fsdp.FSDPModule) and type(plain).__name__.startswith("FSDP")
    assert hands.same_bits(plain(x), floats)
    tqt.quantize_model(model, weights=SPEC)
    assert hands.same_bits(model(x), wanted)


def test_what_takes_parameters_away_is_refused():
    model, _ = models.make("resnet")
    with pytest.raises(tq.Error, match=r"'module' .* fully_shard|DataParallel.*Distributed"):
        tqt.quantize_model(nn.Sequential(nn.DataParallel(model)), weights=SPEC)
    tqt.quantize_model(model, weights=SPEC)
    with pytest.raises(tq.Error, match="use DistributedDataParallel instead"):
        model._replicate_for_data_parallel()
    weight = model.fc.weight
    del model.fc._parameters["weight"]
    model.fc.weight = weight.data  # as FullyShardedDataParallel does
    with pytest.raises(
        tq.Error, match=r"layer 'fc' \(Linear\): 'weight' is no parameter of it any"
    ):
        model(torch.randn(2, 3, 8, 8))


def test_a_layer_class_of_fsdp1_is_named():
    class FullyShardedDataParallel(nn.Module):
        pass

    model = nn.Sequential()
    model.wrapped = FullyShardedDataParallel()
    with pytest.raises(
        tq.Error, match=r"'wrapped' .*: quantize the model inside and use fully_shard"
    ):
        tqt.quantize_model(model, weights=SPEC)
