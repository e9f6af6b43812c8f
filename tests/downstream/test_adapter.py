"""What lm-eval asks for and gets; and what it computes from it."""

import math

import pytest
import torch

pytest.importorskip("lm_eval", reason="needs the extra: pip install '.[evaluate]'")

from lm_eval.api.instance import Instance

from star_core.datasets.tokenizer import ByteTokenizer, trained
from star_core.downstream.adapter import Adapter
from star_core.downstream.writing import Ending, write
from star_core.errors import DataError
from tests.downstream.plain import GENOMES, byte_model, likelihood

CONTEXT = 16
BYTES = ByteTokenizer()
encode = BYTES.encode
GENOME = GENOMES["recurrence, long convolution, attention"]


def requests(kind, *arguments):
    return [Instance(kind, {}, argument, index) for index, argument in enumerate(arguments)]


@pytest.fixture(scope="module")
def model():
    return byte_model(GENOME)


def test_a_continuation_is_judged_behind_its_context(model):
    pairs = [("In the", " end"), ("", "Beginning"), ("a" * 40, " b"), ("x", "é" * 15), ("Space ", "moves")]
    pairs += [(" ", "x"), (" \n\t", ""), ("", ""), ("\u2003", "é")]
    found = Adapter(model, BYTES, CONTEXT).loglikelihood(requests("loglikelihood", *pairs))
    for (before, after), (log, greedy) in zip(pairs, found, strict=True):
        moved = len(before) - len(before.rstrip())  # lm-eval counts these to the continuation
        before, after = before[: len(before) - moved], before[len(before) - moved :] + after
        expected = likelihood(model, encode(before) or [0], encode(after), CONTEXT)
        assert (log, greedy) == (pytest.approx(expected[0], abs=0.02), expected[1])


def test_whole_texts_are_judged_from_their_first_byte(model):
    texts = ["a", "a text of more bytes than the context has", ""]
    found = Adapter(model, BYTES, CONTEXT).loglikelihood_rolling(
        requests("loglikelihood_rolling", *((text,) for text in texts))
    )
    for text, log in zip(texts, found, strict=True):
        assert log == pytest.approx(likelihood(model, [0], encode(text), CONTEXT)[0], abs=0.02)


def test_text_is_written_until_a_stop_string(model):
    whole = write(model, BYTES, encode("And"), Ending((), 12), CONTEXT)
    stop = next(character for character in whole[1:] if character.isascii() and character != whole[0])
    settings = [
        {"until": ["nothing like it"], "max_gen_toks": 12},
        {"until": stop, "max_new_tokens": 12, "do_sample": False, "temperature": 0.7},
        {"until": None, "max_gen_toks": 12, "temperature": 1.0},
    ]
    adapter = Adapter(model, BYTES, CONTEXT)
    first, stopped, sampled = adapter.generate_until(
        requests("generate_until", *(("And", s) for s in settings))
    )
    assert first == whole
    assert stopped == whole[: whole.index(stop)]
    assert sampled != whole
    assert adapter.generate_until(requests("generate_until", ("And", settings[2]))) == [sampled]


def test_a_tokenizer_of_its_own_is_used_for_all_of_it():
    tokenizer = trained(["the heart of the matter, and the end of the matter. " * 20], 280)
    model = byte_model(GENOME, vocab_size=tokenizer.vocab_size)
    adapter = Adapter(model, tokenizer, CONTEXT)
    pairs = [("The heart of", " the matter"), ("", "and")]
    found = adapter.loglikelihood(requests("loglikelihood", *pairs))
    for (before, after), (log, greedy) in zip(pairs, found, strict=True):
        tokens = tokenizer.encode(before + after)
        read = len(tokenizer.encode(before))
        expected = likelihood(model, tokens[:read] or [tokenizer.separator], tokens[read:], CONTEXT)
        assert (log, greedy) == (pytest.approx(expected[0], abs=0.02), expected[1])
    settings = {"until": [], "max_gen_toks": 9}
    (whole,) = adapter.generate_until(requests("generate_until", ("The", settings)))
    assert whole == write(model, tokenizer, tokenizer.encode("The"), Ending((), 9), CONTEXT)
    stop = whole[len(whole) // 2 :][:2]
    assert stop
    (stopped,) = adapter.generate_until(requests("generate_until", ("The", settings | {"until": [stop]})))
    assert stopped == whole[: whole.index(stop)]


@pytest.mark.parametrize(
    "settings",
    [
        {"untill": ["."]},
        {"until": [3]},
        {"until": 3},
        {"max_gen_toks": 0},
        {"max_gen_toks": True},
        {"temperature": -1},
        {"temperature": 0.5, "top_p": 0.9},
        {"num_beams": 4},
    ],
)
def test_settings_that_would_be_ignored_are_refused(model, settings):
    with pytest.raises(DataError, match="generation_kwargs") as caught:
        Adapter(model, BYTES, CONTEXT).generate_until(requests("generate_until", ("a", settings)))
    assert caught.value.fix


def test_lm_eval_s_own_arithmetic_agrees(model, tmp_path):
    from star_core.downstream.harness import run_tasks
    from star_core.downstream.tasks import load_tasks, task_files

    (tmp_path / "texts.jsonl").write_text('{"text": "The heart of the matter."}\n{"text": "An end"}\n')
    (tmp_path / "bytes.yaml").write_text(
        "task: bits\ndataset_path: json\ndataset_kwargs: {data_files: {test: texts.jsonl}}\n"
        "test_split: test\n"
        "output_type: loglikelihood_rolling\ndoc_to_text: ''\ndoc_to_target: text\n"
        "metric_list: [{metric: bits_per_byte}]\n"
    )
    scores = run_tasks(model, BYTES, load_tasks(task_files(tmp_path)), CONTEXT)
    texts = ["The heart of the matter.", "An end"]
    nats = -sum(likelihood(model, [0], encode(text), CONTEXT)[0] for text in texts)
    expected = nats / sum(map(len, texts)) / math.log(2)
    assert scores["bits"]["bits_per_byte"].value == pytest.approx(expected, abs=0.01)
    assert torch.is_grad_enabled()
