"""What each of several processes does in test_processes.py: it is imported by all of them."""

import json

import torch
from torch import distributed, nn

import tensorquant as tq
import tensorquant.torch as tqt

PROCESSES = 2
STEPS = 3


def net():
    """With parameters of few bits: sums are exact in any order, and so do not tell who adds."""
    generator = torch.Generator().manual_seed(1)
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randint(-4, 5, p.shape, generator=generator) / 4)
    return model


def batch(step):
    generator = torch.Generator().manual_seed(100 + step)
    return torch.randint(-3, 4, (8, 4), generator=generator) / 2


GRADIENTS = {"": {"error": "nearest,10,4", "weight": "stochastic,10,3", "bias": "nearest,10,3"}}
OPTIMIZER = {"0": {"state": "stochastic,10,3", "update": "int,8,scale=max"}, "": "nearest,10,4"}


def quantize(model):
    return tqt.quantize_model(
        model, weights="nearest,8,4", extrinsic={"=1": "nearest,8,3"}, gradients=GRADIENTS
    )


def optimizer_of(model, quantized):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.125, momentum=0.5)
    return tqt.quantize_optimizer(optimizer, quantized, OPTIMIZER)


def train(model, optimizer, rows, between=lambda: None):
    for step in range(STEPS):
        optimizer.zero_grad()
        y = model(batch(step)[rows])
        (y * torch.tensor([1.0, -0.5])).sum().backward()
        between()
        optimizer.step()


def alone():
    """The parameters after training in one process, on all rows, by half of the gradients."""
    model = quantize(net())

    def halve():
        for p in model.parameters():
            p.grad.div_(PROCESSES)  # the others average

    train(model, optimizer_of(model, model), slice(None), halve)
    return list(model.parameters())


def whole(parameters):
    return [p.full_tensor() if hasattr(p, "full_tensor") else p for p in parameters]


def share(rank):
    return slice(rank * 4, rank * 4 + 4)


def data_parallel(rank):
    model = quantize(net())
    parallel = nn.parallel.DistributedDataParallel(model)
    train(parallel, optimizer_of(parallel, model), share(rank))
    return same(model.parameters(), alone())


def sharded(rank, first):
    from torch.distributed.fsdp import fully_shard

    model = net()
    mesh = distributed.init_device_mesh("cpu", (PROCESSES,))
    if first == "quantized":
        quantize(model)
    fully_shard(model[0], mesh=mesh)
    fully_shard(model, mesh=mesh)
    if first == "sharded":
        quantize(model)
    train(model, optimizer_of(model, model), share(rank))
    return same(whole(model.parameters()), alone())


def same(parameters, wanted):
    pairs = list(zip(parameters, wanted, strict=True))
    return all(p.detach().numpy().tobytes() == q.detach().numpy().tobytes() for p, q in pairs)


def fsdp1(rank, first):
    from torch.distributed.fsdp import FullyShardedDataParallel

    model = net()
    if first == "sharded":
        model = FullyShardedDataParallel(model, device_id=torch.device("cpu"))
        return error_of(lambda: quantize(model))
    quantize(model)
    model = FullyShardedDataParallel(model, device_id=torch.device("cpu"))
    return error_of(lambda: model(batch(0)))


def tensor_parallel(rank):
    from torch.distributed.tensor.parallel import ColwiseParallel, parallelize_module

    model = net()
    mesh = distributed.init_device_mesh("cpu", (PROCESSES,))
    parallelize_module(model, mesh, {"0": ColwiseParallel()})
    return error_of(lambda: quantize(model)(batch(0)))


def error_of(function):
    try:
        function()
    except tq.Error as error:
        return str(error)
    return "no error"


WORK = {
    "data parallel": data_parallel,
    "quantized, then sharded": lambda rank: sharded(rank, "quantized"),
    "sharded, then quantized": lambda rank: sharded(rank, "sharded"),
    "quantized, then FSDP1": lambda rank: fsdp1(rank, "quantized"),
    "FSDP1, then quantized": lambda rank: fsdp1(rank, "sharded"),
    "tensor parallel": tensor_parallel,
}


def main(rank, folder):
    torch.set_num_threads(1)
    store = distributed.FileStore(f"{folder}/store", PROCESSES)
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=PROCESSES)
    found = {}
    for name, function in WORK.items():
        found[name] = function(rank)
        distributed.barrier()
    with open(f"{folder}/{rank}.json", "w", encoding="utf-8") as file:
        json.dump(found, file)
    distributed.destroy_process_group()
