"""Task files that can be run offline, and those that cannot: each refusal names file, key and cure."""

import json

import pytest

pytest.importorskip("lm_eval", reason="needs the extra: pip install '.[evaluate]'")

from star_core.downstream.tasks import load_tasks, read_task, task_files
from star_core.errors import DataError
from tests.strategies import ODD_FOLDERS

GOOD = {
    "task": "mine",
    "dataset_path": "json",
    "dataset_kwargs": {"data_files": {"test": "items.jsonl"}},
    "test_split": "test",
    "output_type": "multiple_choice",
    "doc_to_text": "text",
    "doc_to_choice": ["a", "b"],
    "doc_to_target": 0,
    "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
}


def task_at(folder, name="mine.yaml", **changes):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "items.jsonl").write_text('{"text": "x"}\n{"text": "y"}\n')
    content = {key: value for key, value in {**GOOD, **changes}.items() if value is not None}
    (folder / name).write_text(json.dumps(content))  # which is YAML too
    return folder / name


def test_data_is_found_beside_the_task_wherever_one_works(tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    task_at(tmp_path / "a/b")
    task_at(tmp_path / "c", "other.yml", task="other")
    (tmp_path / "template").mkdir()
    (tmp_path / "template/base.yaml").write_text("num_fewshot: 0\n")  # no task: included by others
    found = load_tasks(task_files(tmp_path))
    assert sorted(found) == ["mine", "other"]
    assert [doc["text"] for doc in found["mine"].eval_docs] == ["x", "y"]


@pytest.mark.parametrize("name", ODD_FOLDERS)
@pytest.mark.parametrize("files", ["items.jsonl", "*.jsonl", "[1].jsonl"])
def test_data_that_exists_is_no_pattern(tmp_path, name, files):
    for folder in ("run 1", "x", name):
        path = task_at(tmp_path / folder, dataset_kwargs={"data_files": {"test": files}})
        (path.parent / "items.jsonl").unlink()
        if files == "[1].jsonl":
            (path.parent / "1.jsonl").write_text('{"text": "theirs"}\n')
        (path.parent / files.replace("*", "some")).write_text(json.dumps({"text": folder}))
    if name in ("$HOME", "a::b"):
        with pytest.raises(DataError, match=r"replaces \$ and ::.*Fix: rename the folder"):
            task_files(path)
        return
    assert [doc["text"] for doc in load_tasks(task_files(path))["mine"].eval_docs] == [name]


def test_tasks_include_others_and_name_functions(tmp_path):
    path = task_at(tmp_path)
    (tmp_path / "words.py").write_text("def question(doc):\n    return doc['text'] * 3\n")
    (tmp_path / "more.yaml").write_text(
        "include: mine.yaml\ntask: more\ndoc_to_text: !function words.question\n"
    )
    assert read_task(tmp_path / "more.yaml")["doc_to_text"] == "words.question"
    found = load_tasks(task_files(tmp_path / "more.yaml"))
    assert found["more"].doc_to_text({"text": "z"}) == "zzz"
    assert load_tasks(task_files(path))["mine"].doc_to_text({"text": "z"}) == "z"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dataset_path": "allenai/openbookqa"}, r"looked for on the network.*dataset_path: json"),
        ({"dataset_path": "pandas"}, "dataset_path.*network"),  # which would unpickle
        ({"dataset_path": None}, "dataset_path"),
        ({"dataset_kwargs": None}, "names the files"),
        ({"dataset_kwargs": {"data_files": {"test": "https://example.org/x.jsonl"}}}, "lies on this machine"),
        ({"dataset_kwargs": {"data_files": "nothing.jsonl"}}, "nothing.jsonl.*no such file"),
        ({"dataset_kwargs": {"data_files": ["items.jsonl", "*.csv"]}}, r"\*.csv.*no such file"),
        ({"doc_to_txt": "x"}, "doc_to_txt.*did you mean 'doc_to_text'"),
        ({"task": None, "group": "all"}, "one task"),
        ({"task": ["a", "b"]}, "one task"),
        ({"task": 7}, "has a name"),
        ({"metric_list": [{"metric": "x", "hf_evaluate": True}]}, "lm-eval's own"),
    ],
)
def test_what_cannot_be_run_is_refused(tmp_path, changes, message):
    path = task_at(tmp_path, **changes)
    with pytest.raises(DataError, match=message) as caught:
        task_files(path)
    assert str(path) in caught.value.place
    assert caught.value.fix


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"output_type": "guess"}, "guess"),
        ({"doc_to_text": "{{nothing}}"}, "nothing"),
        ({"test_split": "other"}, "other"),
        ({"metric_list": [{"metric": "acc", "aggregation": "mean"}], "doc_to_choice": "{{"}, "mine.yaml"),
    ],
)
def test_what_lm_eval_refuses_is_said_in_one_line(tmp_path, changes, message):
    path = task_at(tmp_path, **changes)
    with pytest.raises(DataError, match=message) as caught:
        load_tasks(task_files(path))
    assert caught.value.place == str(path)


def test_items_that_are_no_json_are_said_in_one_line(tmp_path):
    path = task_at(tmp_path)
    (tmp_path / "items.jsonl").write_text("{not json\n")
    with pytest.raises(DataError, match=r"mine.yaml: lm-eval can make no task of this \(.*JSON"):
        load_tasks(task_files(path))


@pytest.mark.parametrize("content", ["task: [", "- a list", "3: x", "", "x: !!python/object:os.system {}"])
def test_a_malformed_file_is_named(tmp_path, content):
    (tmp_path / "bad.yaml").write_text(content)
    for path in (tmp_path, tmp_path / "bad.yaml"):
        with pytest.raises(DataError) as caught:
            task_files(path)
        assert "bad.yaml" in caught.value.place
        assert "verses.yaml" in caught.value.fix or caught.value.fix == "correct it"


def test_nothing_there_is_an_error(tmp_path):
    for path in (tmp_path / "missing.yaml", tmp_path):
        with pytest.raises(DataError, match="--tasks") as caught:
            task_files(path)
        assert "examples/tasks/verses.yaml" in caught.value.fix


def test_two_tasks_of_one_name_are_an_error(tmp_path):
    task_at(tmp_path, "one.yaml")
    task_at(tmp_path, "two.yaml")
    with pytest.raises(DataError, match=r"two.yaml.*'mine'"):
        load_tasks(task_files(tmp_path))


def test_files_that_include_one_another_are_an_error(tmp_path):
    task_at(tmp_path, "one.yaml", include="two.yaml")
    task_at(tmp_path, "two.yaml", include="one.yaml")
    with pytest.raises(DataError, match="circle"):
        task_files(tmp_path)
