"""Times on llama.cpp: of what it has a file for, and a reason for what not."""

import pytest

from star_core import Genome, compile_genome
from star_core.exported.native import Unmapped
from star_core.genome.space import reading_space
from star_core.measurement.device import Device
from star_core.measurement.inference import Conditions, open_session

pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed: it is built from source")


def session(genome, weights="f32"):
    spec = compile_genome(Genome.parse(genome), reading_space(), 64)
    conditions = Conditions(256, 20, 40, 1, runtime="llama.cpp", weights=weights)
    return open_session(spec, conditions, Device("cpu"))


@pytest.mark.parametrize("weights", ["f32", "int8", "int4"])
@pytest.mark.parametrize("genome", ["31111-91111", "71111-91111-q1111-91111"])
def test_a_llama_and_an_lfm2_read_and_write(genome, weights):
    made = session(genome, weights)
    made.empty()
    made.prefill()
    made.fill()
    for _ in range(3):
        made.decode()
        made.rewind()


def test_what_llama_cpp_has_no_layers_for_is_the_candidates_failure():
    with pytest.raises(Unmapped, match="LIV 1"):
        session("51111-91111")
