"""What another problem replaces is three files: no other file of the package differs, or names what they say."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

REPLACED = {"problem.py", "sources.py", "features/views.py"}
# Words of the flights' example that mean nothing anywhere else.
ITS_WORDS = re.compile(r"\b(flights?|carrier|tailnum|aircraft|airport|airline|schedules|arrivals|weather|New_York)\b")


def test_the_examples_differ_in_three_files_of_the_package(
    render: Callable[[Path, dict[str, Any]], Any], golden: dict[str, Any], tmp_path: Path
):
    package = f"src/{golden['package_name']}/"
    texts = {
        example: {
            name.removeprefix(package): text
            for name, text in render(tmp_path / example, golden | {"example": example}).texts().items()
            if name.startswith(package)
        }
        for example in ("flights", "blank")
    }
    assert texts["flights"].keys() == texts["blank"].keys()
    assert {name for name, text in texts["flights"].items() if text != texts["blank"][name]} == REPLACED


def test_no_other_file_of_the_package_speaks_of_flights(root: Path):
    found = {
        f"{path.relative_to(root / 'template')}:{number}": line.strip()
        for path in (root / "template" / "src").rglob("*.py")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if ITS_WORDS.search(line)
    }
    assert found == {}
