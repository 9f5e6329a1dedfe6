"""Several processes that train one network, each on its share of every batch."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import torch
import torch.distributed as dist
from filelock import FileLock, Timeout
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mien.errors import ConfigError, MienError
from mien.train.networks.parts import Dropout

_PATIENCE = timedelta(days=1)
"""How long processes wait for one another. What a run leaves is written by the first alone, which may take longer
than the 30 minutes that PyTorch would wait."""

Precision = Literal["32-true", "16-mixed", "bf16-mixed"]


def launch(devices: int = 1, precision: Precision | None = None) -> Fabric:
    """Starts the processes that train together, on GPUs where there are any, or takes those torchrun started.

    Args:
        devices: GPUs, or processes on the CPU, of this machine.
        precision: of the network's arithmetic; None takes the fastest that the device does in hardware.

    Raises:
        ConfigError: the number is impossible.
    """
    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)  # greetings of each process
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    devices = int(os.environ.get("LOCAL_WORLD_SIZE", devices))
    nodes = int(os.environ.get("GROUP_WORLD_SIZE", 1))
    if devices < 1:
        raise ConfigError(f"devices {devices}: choose 1 or more")
    if torch.cuda.is_available() and devices > torch.cuda.device_count():
        raise ConfigError(f"devices {devices}: this machine has {torch.cuda.device_count()} GPUs")
    accelerator = "cpu" if devices > 1 and not torch.cuda.is_available() else "auto"
    strategy = DDPStrategy(timeout=_PATIENCE) if devices * nodes > 1 else "auto"
    fabric = Fabric(
        accelerator=accelerator,
        strategy=strategy,
        devices=devices,
        num_nodes=nodes,
        precision=precision or _fastest(),
    )
    fabric.launch()
    return fabric


def leave(fabric: Fabric) -> None:
    """Ends what the processes have in common, when all is done.

    Python does not end gloo's threads when it exits, and what is still running then may abort the process.
    """
    if fabric.world_size > 1 and dist.is_initialized():
        dist.destroy_process_group()


@contextmanager
def first_alone(fabric: Fabric) -> Iterator[bool]:
    """Lets the first process do what one has to do, while the others wait; where it fails, all of them end.

    Yields:
        Whether this process is the first.

    Raises:
        BaseException: as `told_once` has it.
    """
    with told_once(fabric):
        yield fabric.is_global_zero


@contextmanager
def told_once(fabric: Fabric) -> Iterator[None]:
    """Lets the first process alone tell what all of them may run into, and waits for it.

    Raises:
        BaseException: what was raised; but SystemExit, without a word, in the others where the first failed too.
    """
    trouble: BaseException | None = None
    try:
        yield
    except BaseException as error:
        trouble = error
    if fabric.broadcast(trouble is not None) and not fabric.is_global_zero:
        raise SystemExit
    if trouble is not None:
        raise trouble


@contextmanager
def alone_in(folder: Path, fabric: Fabric) -> Iterator[None]:
    """Keeps runs of other commands out of a folder. The system lets go of a killed process's lock.

    Raises:
        MienError: another run is in it.
    """
    lock = FileLock(folder.with_name(f".{folder.name}.lock"), timeout=0)
    with first_alone(fabric) as first:
        if first:
            try:
                lock.acquire()
            except Timeout as error:
                raise MienError(
                    f"{folder}: another process trains in it; wait until it has ended, or choose another --name "
                    "or --out"
                ) from error
            except OSError as error:
                raise MienError(f"{lock.lock_file}: cannot be written ({error.strerror})") from error
    try:
        yield
    finally:
        lock.release()


def share_norms(network: nn.Module) -> nn.Module:
    """Makes every batch norm see the whole batch, wherever its parts lie.

    PyTorch's own SyncBatchNorm does so on GPUs only.
    """
    for name, child in network.named_children():
        if isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d):
            shared = _SharedBatchNorm(child.num_features, child.eps, child.momentum)
            for part, module in child.named_children():
                shared.add_module(part, module)
            shared.load_state_dict(child.state_dict())
            setattr(network, name, shared.to(child.weight.device).train(child.training))
        else:
            share_norms(child)
    return network


def share_dropout(network: nn.Module, fabric: Fabric) -> None:
    """Makes every dropout take its process's part of what all processes draw alike."""
    for module in network.modules():
        if isinstance(module, Dropout):
            module.processes, module.rank = fabric.world_size, fabric.global_rank


class _SharedBatchNorm(_BatchNorm):
    """A batch norm over the faces of all processes, each of which has as many as the others; (N, C, ...).

    Some of timm's norms drop values and hold an activation too; as there, these come after it in their order.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of dimensions will do."""

    def forward(self, x: Tensor) -> Tensor:
        normed = self._normed(x)
        for part in self.children():
            normed = part(normed)
        return normed

    def _normed(self, x: Tensor) -> Tensor:
        if not self.training or self.running_mean is None or self.running_var is None:
            return super().forward(x)
        values, others = x.float(), [0, *range(2, x.ndim)]
        moments = torch.stack([values.mean(dim=others), values.square().mean(dim=others)])
        mean, square = _Sum.apply(moments) / dist.get_world_size()
        variance = (square - mean.square()).clamp(min=0)  # rounding can take it below
        if self.momentum is not None:
            count = x.numel() / x.shape[1] * dist.get_world_size()
            with torch.no_grad():
                self.running_mean.lerp_(mean, self.momentum)
                self.running_var.lerp_(variance * count / (count - 1), self.momentum)
                if self.num_batches_tracked is not None:
                    self.num_batches_tracked.add_(1)
        scale = self.weight * (variance + self.eps).rsqrt()
        shift = self.bias - mean * scale
        shape = (-1, *[1] * (x.ndim - 2))
        normed: Tensor = values * scale.view(shape) + shift.view(shape)
        return normed.to(x.dtype)


class _Sum(torch.autograd.Function):
    """The sum of a tensor over all processes; its gradient is the sum of their gradients."""

    @staticmethod
    def forward(context: Any, tensor: Tensor) -> Tensor:
        total = tensor.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        dist.all_reduce(total)
        return total


def _fastest() -> Precision:
    if torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "16-mixed"
    if torch.backends.mps.is_available():
        return "32-true"
    # A CPU without instructions for it does bfloat16 several times slower than float32.
    able: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # PyTorch 2.9 or so
    return "bf16-mixed" if any(able.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16")) else "32-true"
