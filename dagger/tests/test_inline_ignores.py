# SPDX-License-Identifier: Apache-2.0
"""Comments that hide findings from the scan are refused where Trivy would obey them."""

from __future__ import annotations

from pathlib import Path

import pytest

from cowabungaai import inline_ignores
from cowabungaai.errors import ScanError

MARK = "trivy:"


@pytest.mark.parametrize(
    "line",
    [
        f"#{MARK}ignore:KSV-0014",
        f"    # {MARK}ignore:AVD-KSV-0014[kind=Pod]",
        f"runAsUser: 0  #{MARK}ignore:*",
        f"//{MARK}exp:2099-01-01:ignore:x",
        f"# {MARK}ws:prod:exp:2099-01-01:ignore:x reason",
        "/*tfsec:ignore:x*/",
        f"#\u00a0{MARK}ignore:x",
        f"note: {MARK}ignore:KSV-0014",
        f"#{MARK}ignore:ä",
        f"#{MARK}\udcff:x:ignore:y",
    ],
)
@pytest.mark.parametrize(
    "name",
    [
        "Dockerfile",
        "Dockerfile.go",
        "a/dockerfile.py",
        "x.py/Containerfile.md",
        "x.go/a.dockerFile",
        "a/main.tf",
        "a/values.yaml",
        "p/chart/templates/x.py",
    ],
)
def test_a_comment_that_hides_findings_is_told_with_its_place(tmp_path: Path, name: str, line: str) -> None:
    file = tmp_path / name
    file.parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "p/chart").mkdir(parents=True, exist_ok=True)
    (tmp_path / "p/chart/Chart.yaml").write_text("name: a\n")
    file.write_bytes(b"a\xff\r\n" + line.encode(errors="surrogateescape") + b"\r\n")
    with pytest.raises(ScanError, match=rf"^{name}:2: .*security/ignore\.yaml") as caught:
        inline_ignores.refuse(tmp_path)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "line", ["# trivy ignores it", f"# {MARK}ignore:", f"# {MARK}0.74", f"a{MARK}ignore:x", f"# {MARK}v2:latest"]
)
def test_what_trivy_takes_for_no_such_comment_is_left(tmp_path: Path, line: str) -> None:
    (tmp_path / "Dockerfile").write_text(f"{line}\n")
    inline_ignores.refuse(tmp_path)


def test_programs_and_documents_may_speak_of_it(tmp_path: Path) -> None:
    for name in ("a.py", "docs/a.md", "docs/dockerfiles.md", "x.Dockerfile.go"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"# {MARK}ignore:x\n")
    inline_ignores.refuse(tmp_path)


def test_this_repository_has_none() -> None:
    root = Path(__file__).parents[2]
    for folder in ("bundles", "packages", "security", "toolchain/cluster", "services"):
        inline_ignores.refuse(root / folder)
