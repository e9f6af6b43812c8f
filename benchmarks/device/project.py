"""All that this benchmark takes from the project, in one place."""

from benchmarks.jobs import baselines, make_jobs, random_candidates, run_jobs
from benchmarks.peers import Attention, BareStack, Uncached, llama, transformers
from benchmarks.stacks import GATED, Size, classes, compiled, millions, random_tokens
from star_core import Architecture, SearchSpace, build_model, compile_genome
from star_core.config import Data, Params, Training
from star_core.datasets import TokenData, prepare
from star_core.machine import machine_fingerprint
from star_core.measurement.device import Device
from star_core.planning.plan import training_bytes
from star_core.training import CandidatePool
from star_core.training.module import LanguageModelTraining

STAR = """
from star_flows.cli import register
from star_core import cli

register(cli.app)
cli.app()
"""
"""The command ``star`` where the package's entry points are not installed."""

__all__ = [
    "GATED",
    "STAR",
    "Architecture",
    "Attention",
    "BareStack",
    "CandidatePool",
    "Data",
    "Device",
    "LanguageModelTraining",
    "Params",
    "SearchSpace",
    "Size",
    "TokenData",
    "Training",
    "Uncached",
    "baselines",
    "build_model",
    "classes",
    "compile_genome",
    "compiled",
    "llama",
    "machine_fingerprint",
    "make_jobs",
    "millions",
    "prepare",
    "random_candidates",
    "random_tokens",
    "run_jobs",
    "training_bytes",
    "transformers",
]
