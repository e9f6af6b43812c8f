"""What this machine can do on one thread: matrix products and reading memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.timing import Clock, Member, fastest, in_turn

FLAGS = ("avx2", "avx512f", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_bf16")


@dataclass(frozen=True, slots=True)
class Matmul:
    """A product of a (rows × inner) by an (inner × columns) matrix."""

    rows: int
    inner: int
    columns: int
    dtype: torch.dtype

    def __str__(self) -> str:
        return f"{self.rows}x{self.inner}x{self.columns}"

    @property
    def flops(self) -> int:
        """Of one product; a multiply-add counts 2."""
        return 2 * self.rows * self.inner * self.columns

    def member(self, at_least: float) -> Member:
        """A member whose seconds are those of one product, repeated for ``at_least`` FLOPs a run."""
        left = torch.randn(self.rows, self.inner).to(self.dtype)
        right = torch.randn(self.inner, self.columns).to(self.dtype)
        product = torch.empty(self.rows, self.columns, dtype=self.dtype)
        repeats = max(1, round(at_least / self.flops))

        def work() -> None:
            for _ in range(repeats):
                torch.mm(left, right, out=product)

        return Member(str(self), work, share=repeats)


SHAPES = (
    (512, 512, 512),
    (1024, 1024, 1024),
    (2048, 1024, 2048),
    (4096, 256, 768),
    (4096, 256, 1536),
    (4096, 768, 256),
)
"""Square products, and tall ones as a model of width 256 has them."""


@dataclass(frozen=True, slots=True)
class Peak:
    """The fastest matrix product that was found, and its FLOP/s.

    It takes part in comparisons as a member, so that a share of the peak is that of the same moment.
    """

    matmul: Matmul
    speed: float

    @property
    def member(self) -> Member:
        """Some 50 ms of it; its seconds are those of one product."""
        return self.matmul.member(self.speed / 20)

    def __str__(self) -> str:
        kind = "bf16" if self.matmul.dtype == torch.bfloat16 else "fp32"
        return f"matmul peak {kind} {self.speed / 1e9:.0f} GFLOP/s ({self.matmul})"


def peak_of(dtype: torch.dtype, clock: Clock) -> Peak:
    """The best of ``SHAPES``, each at its best of five runs."""
    matmuls = {matmul: matmul.member(4e9) for matmul in (Matmul(*shape, dtype) for shape in SHAPES)}
    seconds = in_turn(list(matmuls.values()), 5, clock, warmup=2)
    speeds = {matmul: matmul.flops / min(seconds[member.name]) for matmul, member in matmuls.items()}
    best = max(speeds, key=lambda matmul: speeds[matmul])
    return Peak(best, speeds[best])


def stream_member(num_bytes: int, clock: Clock) -> Member:
    """Reading ``num_bytes`` once, in the fastest of three ways.

    Of the size of what it is compared with, so that a large outer cache helps both alike.
    """
    columns = 4096
    matrix = torch.ones(num_bytes // (4 * columns), columns)
    array, vector = matrix.view(-1), torch.ones(columns)
    return fastest(
        [
            Member("sum", lambda: array.sum()),
            Member("dot product", lambda: torch.dot(array, array)),
            Member("matrix by vector", lambda: torch.mv(matrix, vector)),
        ],
        clock,
    )


def machine() -> str:
    """One line: torch, threads, processor, the instruction sets that matter here."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    known = [flag for flag in FLAGS if flag in fields.get("flags", "").split()]
    return (
        f"torch {torch.__version__} ({torch.backends.cpu.get_cpu_capability()}), "
        f"{torch.get_num_threads()} thread, {fields.get('model name', 'unknown processor')}: "
        f"{' '.join(known) or 'flags unknown'}"
    )
