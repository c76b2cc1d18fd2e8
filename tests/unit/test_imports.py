"""Who may import whom: components know no settings, prowconfig no Pulumi, and nobody the testbed."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
OURS = frozenset(
    ("__main__", "bench", "components", "policies", "previews", "prowconfig", "settings", "testbed", "tests")
)
# What each package imports of ours.
ALLOWED: dict[str, frozenset[str]] = {
    "prowconfig": frozenset(),
    "components": frozenset({"prowconfig"}),
    "settings": frozenset({"components", "prowconfig"}),
    "previews": frozenset(),
    "policies": frozenset(),
}
# Descriptions and arguments of components, which register nothing.
DATA = frozenset(
    {
        "addresses",
        "catalog",
        "external_plugins",
        "flows",
        "ghproxy",
        "github_account",
        "images",
        "inputs",
        "jobs",
        "login",
        "private_deck",
        "relay_catalog",
        "repository",
        "slack",
        "storage",
    }
)


def list_imports(file: Path) -> Iterator[str]:
    """Modules that a file imports, with the names that it takes of them."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def list_files(package: str) -> list[Path]:
    """The files of a package, none while there is no such package."""
    return sorted((PROJECT / package).rglob("*.py"))


@pytest.mark.parametrize("package", ALLOWED)
def test_a_package_imports_only_those_below_it(package):
    for file in list_files(package):
        for name in list_imports(file):
            top = name.partition(".")[0]
            if top in OURS and top != package:
                assert top in ALLOWED[package], f"{file.relative_to(PROJECT)} imports {name}"


def test_prowconfig_needs_no_pulumi():
    for file in list_files("prowconfig"):
        assert not [name for name in list_imports(file) if name.startswith("pulumi")], file


def test_settings_import_descriptions_of_components_and_none_that_registers_resources():
    for file in list_files("settings"):
        for name in list_imports(file):
            parts = name.split(".")
            if parts[0] == "components":
                assert parts[1] in DATA, f"{file.relative_to(PROJECT)} imports {name}"
    for module in DATA:
        imported = list(list_imports(PROJECT / "components" / f"{module}.py"))
        assert not [name for name in imported if name.startswith("pulumi_")], module
        ours = {name.split(".")[1] for name in imported if name.startswith("components.")}
        assert ours <= DATA, module


def test_the_program_does_not_know_the_testbed():
    for name in list_imports(PROJECT / "__main__.py"):
        assert name.partition(".")[0] not in ("testbed", "tests", "bench")


def test_only_the_program_and_the_settings_read_configuration():
    scripts = PROJECT / "components" / "scripts"  # these run in pods, whose environment is Kubernetes'
    for file in list_files("components"):
        if scripts in file.parents:
            continue
        tree = ast.parse(file.read_text(encoding="utf-8"))
        read = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr == "environ"]
        assert not read, file
        assert "pulumi.Config(" not in file.read_text(encoding="utf-8"), file
