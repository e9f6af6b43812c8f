"""The environment of candidate processes: nothing in it may change the bits of a result."""

from __future__ import annotations

from collections.abc import Mapping

_LIBRARIES = ("MKL_", "ONEDNN_", "DNNL_", "OMP_", "GOMP_", "OPENBLAS_", "BLIS_", "VECLIB_")
_SWITCHES = frozenset(
    {
        "KMP_DETERMINISTIC_REDUCTION",
        "KMP_FORCE_REDUCTION",
        "NVIDIA_TF32_OVERRIDE",
        "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
        "TORCH_BLAS_PREFER_CUBLASLT",
        "TORCH_BLAS_PREFER_HIPBLASLT",
        "TORCH_CUDNN_DETERMINISTIC",
        "TORCH_CUDNN_USE_HEURISTIC_MODE_B",
        "TORCH_CUDNN_V8_API_DISABLED",
        "TORCH_DETERMINISTIC",
    }
)


def candidate_environment(inherited: Mapping[str, str], threads: int) -> dict[str, str]:
    """What is inherited, without what chooses kernels and precisions, and with the recipe's threads.

    ``ATEN_CPU_CAPABILITY`` stays: it names the instruction set, which is part of every evaluation's key.

    Args:
        inherited: The environment of the process that asks.
        threads: CPU threads of a candidate.
    """
    kept = {
        name: value
        for name, value in inherited.items()
        if not name.startswith(_LIBRARIES) and name not in _SWITCHES
    }
    pinned = {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    return {
        **kept,
        **pinned,
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
        # Asking whether there is a GPU must not initialise CUDA: no forked child could use it then.
        "PYTORCH_NVML_BASED_CUDA_CHECK": "1",
    }
