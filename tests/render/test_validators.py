"""Each bad answer is refused with words that say what to type instead; good ones, and defaults, pass."""

import keyword
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import copier
import pytest

# The question, the words of the refusal, and answers that they must meet.
LINE = ("", " ", " Delays", "Delays ", "two\nlines", 'a "b"', "a\\b", "a\tb", '"', "\\")
REFUSALS = [
    ("project_name", "without double quotes or backslashes", LINE),
    ("project_name", "type something like Flight Delays", LINE),
    ("project_slug", "type something like flight-delays", ("", "Delays", "1st", "a_b", "a b", "-a", "a-", "a--b")),
    ("project_slug", "type something like flight-delays", ("a\n", "été", "a" * 41)),
    ("project_slug", "type something like {}-model", ("mlflow", "scikit-learn", "json", "uv")),
    ("package_name", "type something like flight_delays", ("", "Delays", "1st", "a-b", "a b", "_a", "a.b")),
    ("package_name", "type something like flight_delays", ("a\n", "été", "a" * 41)),
    ("package_name", "type something like {}_model", ("class", "match", "json", "test", "tests")),
    ("package_name", "type something like {}_model", ("ibis", "mlflow", "sklearn", "scikit_learn")),
    ("project_description", "type something like Predicts", LINE),
    ("author_name", "type something like The Flight Delays team", LINE),
    ("author_email", "type something like team@example.org", ("team", "team@host", "a b@c.org", '"@c.org')),
    ("author_email", "or leave it empty", ("a@b.org, c@d.org", "A <a@b.org>", "a@b.org\n")),
    (
        "platform_url",
        "type something like",
        ("", "git.example.com/a", "git@host:a.git", "https://a b", "https://a?ref=1"),
    ),
    ("platform_url", "https://git.example.com/platform", ("https://host/a/", 'https://host/"a', "https://host/${a}")),
    ("cloud", "cloud", ("oracle",)),
    ("license", "license", ("GPL-3.0",)),
    ("python_version", "python_version", ("3.10",)),
]


@pytest.fixture
def answer(template: Path, golden: dict[str, Any], tmp_path: Path) -> Callable[..., None]:
    """Return the function that gives some answers, golden ones for the rest, and writes nothing."""

    def give(**answers: Any) -> None:
        copier.run_copy(str(template), tmp_path, data=golden | answers, defaults=True, quiet=True, pretend=True)

    return give


@pytest.mark.parametrize(
    ("question", "bad", "words"),
    [(question, bad, words.format(bad)) for question, words, answers in REFUSALS for bad in answers],
)
def test_a_bad_answer_is_refused_with_what_to_type(answer: Callable[..., None], question: str, bad: str, words: str):
    with pytest.raises(ValueError, match=re.escape(words)) as refusal:
        answer(**{question: bad})
    assert question in str(refusal.value)


@pytest.mark.parametrize(
    ("question", "good"),
    [
        ("project_name", "Großwetter & d'été (v2): 90 %"),
        ("project_slug", "a"),
        ("project_slug", "a1-2b-" + "c" * 34),
        ("package_name", "a"),
        ("package_name", "a_1__" + "c" * 35),
        ("author_email", ""),
        ("author_email", "first.last+mlops@mail.example.org"),
        ("platform_url", "https://git.example.org/team/slipway.git"),
        ("platform_url", "ssh://git@git.example.org:7999/team/slipway"),
        ("cloud", "azure"),
        ("license", "Proprietary"),
        ("python_version", "3.13"),
    ],
)
def test_a_good_answer_is_taken(answer: Callable[..., None], question: str, good: str):
    answer(**{question: good})


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Flight Delays", "flight-delays"),
        ("  2nd  look: Delays! ".strip(), "nd-look-delays"),
        ("Calendar", "calendar-model"),
        ("MLflow", "mlflow-model"),
        ("scikit learn", "scikit-learn-model"),
        ("航班", "project"),
        ("one two three four five six seven eight nine", "one-two-three-four-five-six-seven"),
    ],
)
def test_names_derived_from_the_projects_name_are_good_answers(
    render: Callable[[Path, dict[str, Any]], Any],
    answer: Callable[..., None],
    golden: dict[str, Any],
    tmp_path: Path,
    name: str,
    slug: str,
):
    given = {key: golden[key] for key in ("project_description", "author_name")}
    answers = render(tmp_path / "project", given | {"project_name": name}).answers
    assert (answers["project_slug"], answers["package_name"]) == (slug, slug.replace("-", "_"))
    # Copier takes defaults unchecked, so they are given back to the validators here.
    answer(project_slug=slug, package_name=answers["package_name"])


def test_no_word_or_module_of_python_and_no_package_of_the_lock_can_be_a_name(
    template: Path, golden: dict[str, Any], tmp_path: Path
):
    lock = (template / "template" / "locks" / "dev.txt").read_text(encoding="utf-8")
    locked = {name.replace("-", "_") for name in re.findall(r"^([a-z0-9._-]+)==", lock, flags=re.M)}
    assert "mlflow" in locked
    names = locked | set(keyword.kwlist) | set(sys.stdlib_module_names)
    # A template of one file shows the words that the validators look into.
    (tmp_path / "template" / "locks").mkdir(parents=True)
    (tmp_path / "template" / "locks" / "dev.txt").write_text(lock, encoding="utf-8")
    (tmp_path / "template" / "words.jinja").write_text("{{ reserved_names }}", encoding="utf-8")
    shutil.copy(template / "copier.yml", tmp_path)
    copier.run_copy(str(tmp_path), tmp_path / "project", data=golden, defaults=True, quiet=True)
    words = (tmp_path / "project" / "words").read_text(encoding="utf-8").split()
    assert {name for name in names if re.fullmatch("[a-z][a-z0-9_]*", name)} <= set(words)
