"""The synthetic tasks: exact solutions, chance, seeds, and no answer where none should be."""

import dataclasses

import numpy as np
import pytest

from star_core.errors import DataError
from star_core.mad.tasks import (
    IGNORE,
    TASKS,
    compression,
    fuzzy_recall,
    memorisation,
    recall,
    selective_copying,
    task,
)

NAMES = sorted(TASKS)
BASELINES = {
    "in-context-recall": (16, 128),
    "noisy-recall": (32, 128),
    "fuzzy-recall": (16, 128),
    "memorisation": (256, 32),
    "compression": (16, 32),
    "selective-copying": (16, 256),
}


def asked(instances):
    return instances.targets != IGNORE


def solve_recall(tokens, values, noise):
    """Key, value, key, value; tokens of neither kind are skipped."""
    known, answers, key = {}, {}, None
    for at, token in enumerate(tokens):
        if token in noise:
            key = None
        elif token not in values:
            key = token
            if key in known:
                answers[at] = known[key]
        else:
            known[key] = token
    return answers


def solve_fuzzy_recall(tokens, values):
    """Runs of key tokens, runs of value tokens; every run so far names what followed it before."""
    followed, answers, key, value = {}, {}, (), ()
    for at, token in enumerate(tokens):
        if token not in values:
            key, value = ((*key, token) if not value else (token,)), ()
        else:
            followed[key, value] = token
            value = (*value, token)
        if (key, value) in followed:
            answers[at] = followed[key, value]
    return answers


def solve_copying(tokens, blank, signal):
    at = tokens.index(signal)
    return dict(enumerate((token for token in tokens[:at] if token != blank), at + 1))


def solutions(name, instances, mad_task):
    """The answers of a short program that reads an instance as a model does; by position, per instance."""
    for tokens in instances.inputs.tolist():
        if name in ("in-context-recall", "noisy-recall"):
            yield solve_recall(tokens, mad_task.answers, range(mad_task.answers.stop, mad_task.vocab_size))
        elif name == "fuzzy-recall":
            yield solve_fuzzy_recall(tokens, mad_task.answers)
        elif name == "selective-copying":
            yield solve_copying(tokens, mad_task.vocab_size - 2, mad_task.vocab_size - 1)
        elif name == "compression":
            assert tokens[-1] == mad_task.vocab_size - 1
            yield dict(enumerate(tokens[:-1]))
        else:
            yield None


@pytest.mark.parametrize("name", NAMES)
def test_baseline_settings_and_tokens(name):
    mad_task = task(name)
    assert (mad_task.vocab_size, mad_task.length) == BASELINES[name]
    assert mad_task.training_size == (256 if name == "memorisation" else 12_800)
    found = mad_task.validation(300)
    assert found.inputs.shape == found.targets.shape == (300, mad_task.length)
    assert found.inputs.dtype == found.targets.dtype == np.int64
    assert found.inputs.min() >= 0
    assert found.inputs.max() < mad_task.vocab_size
    assert set(np.unique(found.targets[asked(found)])) == set(mad_task.answers)
    assert asked(found).any(1).all()


@pytest.mark.parametrize("name", NAMES)
def test_instances_follow_from_the_seed(name):
    mad_task = task(name)
    first, again, other = mad_task.validation(40), mad_task.validation(40), mad_task.validation(40, seed=1)
    for field in ("inputs", "targets"):
        assert (getattr(first, field) == getattr(again, field)).all()
    assert (first.inputs != other.inputs).any()
    training = mad_task.training(200, first)
    assert (training.inputs == mad_task.training(200, first).inputs).all()
    assert len(mad_task.training(10**6, first)) == mad_task.training_size
    held_out = {row.tobytes() for row in first.inputs}
    assert not held_out & {row.tobytes() for row in training.inputs}


@pytest.mark.parametrize("name", [name for name in NAMES if name != "memorisation"])
def test_a_short_program_answers_every_question(name):
    mad_task = task(name)
    instances = mad_task.validation(200)
    for answers, targets in zip(
        solutions(name, instances, mad_task), instances.targets.tolist(), strict=True
    ):
        wanted = {at: target for at, target in enumerate(targets) if target != IGNORE}
        assert wanted
        assert {at: answers.get(at) for at in wanted} == wanted
        if name != "fuzzy-recall":  # there, a run may be a longer one's beginning
            assert answers == wanted


def test_memorisation_has_one_dictionary_that_training_shows():
    mad_task = task("memorisation")
    held_out = mad_task.validation(300)
    training = mad_task.training(256, held_out)
    known = {}
    for instances in (training, held_out):
        keys, questions = instances.inputs[:, ::2], instances.inputs[:, 1::2]
        assert (questions == mad_task.vocab_size - 1).all()
        assert (instances.targets[:, ::2] == IGNORE).all()
        for key, value in zip(
            keys.ravel().tolist(), instances.targets[:, 1::2].ravel().tolist(), strict=True
        ):
            assert known.setdefault(key, value) == value
        if instances is training:
            assert len(known) == len(mad_task.answers) == 127, "every key is shown"
    values = [known[key] for key in sorted(known)]
    assert len(set(values)) == len(values)
    assert values != sorted(values), "the values follow no rule"
    assert (mad_task.validation(20, seed=1).targets != mad_task.validation(20).targets).any()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("clue", ["position", "position and token"])
def test_neither_position_nor_the_token_itself_tells_the_answer(name, clue):
    """The best guess from the clue, learnt on half of many instances, is right by chance on the others."""
    mad_task = task(name)
    if name == "compression" and clue != "position":
        return  # there the token is the answer, and the last output is all that may be read
    instances = mad_task.validation(4000)
    here = asked(instances)
    position = np.broadcast_to(np.arange(mad_task.length), here.shape)
    token = instances.inputs if clue != "position" else np.zeros_like(instances.inputs)
    seen = (position * mad_task.vocab_size + token)[here]
    answer = instances.targets[here]
    half = len(answer) // 2
    counts = np.zeros((mad_task.length * mad_task.vocab_size, mad_task.vocab_size), int)
    np.add.at(counts, (seen[:half], answer[:half]), 1)
    right = (counts.argmax(1)[seen[half:]] == answer[half:]).mean()
    assert right == pytest.approx(mad_task.chance, rel=0.15, abs=0.004)


def test_noise_is_a_fifth_of_the_pairs_and_asks_nothing():
    instances = task("noisy-recall").validation(500)
    noise = instances.inputs >= 16
    assert noise.mean() == pytest.approx(0.2, abs=0.01)
    assert (instances.targets[noise] == IGNORE).all()
    assert not (task("in-context-recall").validation(50).inputs >= 16).any()


def test_tokens_to_copy_stand_anywhere_among_the_blanks():
    instances = task("selective-copying").validation(2000)
    body = instances.inputs[:, :239]
    assert (body != 14).sum(1).tolist() == [16] * 2000
    places = (body != 14).mean(0)
    assert places == pytest.approx(np.full(239, 16 / 239), abs=0.03)
    assert (instances.inputs[:, 239] == 15).all()
    assert (instances.inputs[:, 240:] == 14).all()


def test_motifs_have_one_to_three_tokens():
    instances = fuzzy_recall(keys=3).validation(300)
    edges = np.diff((instances.inputs >= 8).astype(int), axis=1) != 0
    runs = np.concatenate([np.diff(np.nonzero(row)[0]) for row in edges])
    assert set(runs.tolist()) == {1, 2, 3}


def test_other_settings():
    for mad_task in (
        recall(vocab_size=4, length=6),
        recall(vocab_size=40, length=64, noise_tokens=8, noise=0.5),
        fuzzy_recall(vocab_size=8, length=40, keys=4),
        memorisation(vocab_size=9, length=4),
        compression(vocab_size=3, length=2),
        selective_copying(vocab_size=5, length=12, copied=3),
    ):
        found = mad_task.validation(30)
        assert found.inputs.shape == (30, mad_task.length)
        assert found.inputs.max() < mad_task.vocab_size
        assert set(np.unique(found.targets[asked(found)])) <= set(mad_task.answers)


def test_training_avoids_what_is_held_out_even_where_instances_are_few():
    mad_task = recall(vocab_size=4, length=4)
    held_out = mad_task.validation(5)
    known = {row.tobytes() for row in held_out.inputs}
    assert not known & {row.tobytes() for row in mad_task.training(500, held_out).inputs}
    crowded = dataclasses.replace(mad_task, length=4)
    with pytest.raises(DataError, match="length"):
        crowded.training(500, mad_task.validation(2000))


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: recall(vocab_size=3), "vocab_size"),
        (lambda: recall(noise=0.2), "vocab_size"),
        (lambda: recall(length=5), "length"),
        (lambda: fuzzy_recall(length=8), "length"),
        (lambda: memorisation(vocab_size=4), "vocab_size"),
        (lambda: compression(length=1), "length"),
        (lambda: selective_copying(length=20, copied=16), "copied|length"),
        (lambda: task("in-context-recal"), "did you mean 'in-context-recall'"),
    ],
)
def test_settings_that_make_no_task_are_refused(make, named):
    with pytest.raises(DataError, match=named):
        make()
