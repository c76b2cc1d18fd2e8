"""What config-updater follows: files as Prow takes them, ConfigMaps that are left alone, rights that come and go."""

import base64
import gzip
import random
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import pytest
import yaml

from components import config_updater
from components.config_updater import UserMaps, UserMapsArgs
from components.configuration import Configuration, ConfigurationArgs
from prowconfig import files as prow_files
from prowconfig import updater
from prowconfig.files import ProwFiles
from prowconfig.problem import ProwFilesError
from prowconfig.render import ConfigMapContent, pack_files, shard_files
from prowconfig.user_maps import Place, UserMap

from .mocked import reveal
from .prowconfig.examples import POD, REPOSITORIES, P, write
from .test_judgement import Registrations
from .test_two_prows import make

pytestmark = pytest.mark.unit
FOLLOWED = "me/app"
PLUGINS = (
    "plugins:\n  me/app:\n    plugins: [trigger, config-updater]\n  me/lib:\n    plugins: [trigger]\n"
    "config_updater:\n  maps:\n    prow/plugins.yaml: {name: plugins}\n    prow/jobs/**/*.yaml: {name: job-config}\n"
)
DECORATION = {
    "gcs_configuration": {"bucket": "s3://logs", "path_strategy": "explicit"},
    "utility_images": dict.fromkeys(("clonerefs", "initupload", "entrypoint", "sidecar"), "x"),
}
JOBS = f"# kept\npresubmits:\n  me/app:\n  - name: a\n    {POD}\n"


def load(folder: Path, *, plugins: str = PLUGINS, **files: str):
    texts = {name.replace("__", "/") + ".yaml": text for name, text in files.items()}
    return prow_files.load(
        write(folder, {"plugins.yaml": plugins, **texts}), REPOSITORIES, config_updater=FOLLOWED
    )


def refused(folder: Path, **files: str) -> list[str]:
    with pytest.raises(ProwFilesError) as caught:
        load(folder, **files)
    return [str(problem) for problem in caught.value.problems]


def test_files_that_prow_takes_as_they_are_reach_it_word_for_word(tmp_path: Path):
    files = load(tmp_path, jobs__a=JOBS)
    assert files.plugins_text == PLUGINS
    assert files.texts == {"a.yaml": JOBS}
    assert not files.warnings


def test_a_star_is_refused_with_its_line_and_the_reason(tmp_path: Path):
    said = refused(
        tmp_path,
        jobs__a=JOBS.replace("me/app", "'*'"),
        plugins=PLUGINS.replace("me/lib", "'*'") + "triggers:\n- repos: ['*']\n",
    )
    assert [line.partition(": ")[0] for line in said] == ["prow/jobs/a.yaml:3", f"{P}:4", f"{P}:11"]
    assert all("as it stands in me/app" in line and "owner/name" in line for line in said)


def test_a_star_in_config_yaml_which_the_stack_writes_is_as_good_as_ever(tmp_path: Path):
    files = load(tmp_path, config="tide:\n  queries:\n  - repos: ['*']\n    labels: [x]\n")
    assert files.config["tide"]["queries"][0]["repos"] == list(REPOSITORIES)


@pytest.mark.parametrize(
    ("plugins", "where", "words"),
    [
        (PLUGINS.replace(", config-updater", ""), f"{P}:2", "add config-updater to the plugins of me/app"),
        (PLUGINS.replace("name: plugins", "name: config"), f"{P}:6", "prow/plugins.yaml: {name: plugins}"),
        (
            PLUGINS.replace("}\n    prow", ", clusters: {build: [x]}}\n    prow"),
            f"{P}:6",
            "neither less nor more",
        ),
        (PLUGINS[: PLUGINS.index("config_updater:")], f"{P}", "prow/jobs/**/*.yaml: {name: job-config}"),
        (
            PLUGINS.replace("  me/lib:\n    plugins: [trigger]", "  me/lib:\n    plugins: [config-updater]"),
            f"{P}:4",
            "a merge there would change Prow's configuration",
        ),
        (PLUGINS.replace("  me/lib:\n    plugins: [trigger]", "  me/lib: [trigger]"), f"{P}:1", "mixture"),
    ],
    ids=["not enabled", "another ConfigMap", "another cluster", "no maps", "elsewhere too", "mixed forms"],
)
def test_a_file_that_would_end_or_misguide_the_plugin_is_refused(tmp_path: Path, plugins, where, words):
    said = refused(tmp_path, plugins=plugins)
    assert any(line.startswith(where) and words in line for line in said), said


def test_a_job_file_that_the_plugin_would_not_find_is_refused(tmp_path: Path):
    top = write(tmp_path, {"plugins.yaml": PLUGINS, "jobs/a.yml": JOBS})
    with pytest.raises(ProwFilesError, match=r"prow/jobs/a\.yml: config-updater follows \*\.yaml only"):
        prow_files.load(top, REPOSITORIES, config_updater=FOLLOWED)


def test_a_job_that_the_stack_would_have_told_where_to_clone_from_must_say_so_itself(tmp_path: Path):
    def load_with_logs(folder: Path, jobs: str):
        top = write(folder, {"plugins.yaml": PLUGINS, "jobs/a.yaml": jobs})
        return prow_files.load(
            top,
            REPOSITORIES,
            config_updater=FOLLOWED,
            decoration=DECORATION,
            github_url="https://ghe.example",
        )

    with pytest.raises(
        ProwFilesError, match=r"prow/jobs/a\.yaml:4: .*clone_uri, such as https://ghe\.example/"
    ):
        load_with_logs(tmp_path / "1", JOBS)
    own = JOBS.replace("name: a", "name: a\n    clone_uri: https://ghe.example/me/app.git")
    assert load_with_logs(tmp_path / "2", own).texts == {"a.yaml": own}


def test_while_it_is_off_the_plugin_in_the_files_is_a_warning_with_the_command_that_turns_it_on(
    tmp_path: Path,
):
    files = prow_files.load(write(tmp_path, {"plugins.yaml": PLUGINS}), REPOSITORIES, config_updater="")
    (warning,) = files.warnings
    assert str(warning).startswith(f"{P}:2: ")
    assert "pulumi config set configUpdater true" in warning.reason


def test_the_shipped_maps_are_those_that_hook_may_write():
    shipped = yaml.safe_load((Path(__file__).parents[2] / "prow" / "plugins.yaml").read_text())
    assert shipped["config_updater"] == updater.SECTION


def configure(run, files: ProwFiles, writer: str | None = FOLLOWED):
    """The configuration of these files, of which config-updater writes some."""
    args = ConfigurationArgs(
        files=files,
        namespace="prow",
        job_namespace="test-pods",
        prowjob_namespace="prow",
        deck_url="http://192.0.2.7:30080/",
        config_updater=writer,
    )
    return run(lambda: Configuration("configuration", args))


def config_maps(run, folder: Path, writer: str | None):
    recorder = configure(run, load(folder, jobs__a=JOBS), writer)
    return recorder, {key: reveal(inputs) for key, inputs in recorder.of("ConfigMap").items()}


def test_the_first_content_is_the_files_own_and_the_writer_is_on_the_object(run, tmp_path):
    _, made = config_maps(run, tmp_path, FOLLOWED)
    assert made["prow/job-config"]["data"] == {"a.yaml": JOBS}
    assert made["prow/plugins"]["data"] == {"plugins.yaml": PLUGINS}
    for name, expected in {"config": None, "plugins": FOLLOWED, "job-config": FOLLOWED}.items():
        annotations = made[f"prow/{name}"]["metadata"].get("annotations") or {}
        assert annotations.get(config_updater.ANNOTATION) == expected


def test_jobs_that_the_stack_would_compress_are_written_as_they_are(run, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "components.configuration.shard_files", lambda texts, name: {name: pack_files(texts, always=True)}
    )
    (tmp_path / "off").mkdir()
    (tmp_path / "on").mkdir()
    _, made = config_maps(run, tmp_path / "off", None)
    assert set(made["prow/job-config"]["binaryData"]) == {"a.yaml"}
    _, made = config_maps(run, tmp_path / "on", FOLLOWED)
    assert made["prow/job-config"]["data"] == {"a.yaml": JOBS}
    assert "binaryData" not in made["prow/job-config"]


def test_jobs_that_config_updater_compresses_are_compressed_from_the_first(run, tmp_path):
    packed = PLUGINS.replace("{name: job-config}", "{name: job-config, gzip: true}")
    assert packed != PLUGINS
    recorder = configure(run, load(tmp_path, jobs__a=JOBS, plugins=packed))
    [content] = reveal(recorder.of("ConfigMap")["prow/job-config"])["binaryData"].values()
    assert gzip.decompress(base64.b64decode(content)).decode() == JOBS


JOBS_ENTRY = "prow/jobs/**/*.yaml: {name: job-config}"
IN_TWO = "prow/jobs/**/*.yaml: {partitioned_names: [job-config-1-of-2, job-config-2-of-2], gzip: true}"


def make_noise(count: int, kilobytes: int) -> dict[str, str]:
    """So many job files which take so many KB each when they are compressed."""
    return {f"{n}.yaml": f"# {random.Random(n).randbytes(kilobytes * 1000).hex()}\n" for n in range(count)}


def load_jobs(folder: Path, texts: Mapping[str, str], entry: str, *, followed: str | None = FOLLOWED):
    plugins = PLUGINS.replace(JOBS_ENTRY, entry)
    files = {"plugins.yaml": plugins, **{f"jobs/{name}": text for name, text in texts.items()}}
    return prow_files.load(write(folder, files), REPOSITORIES, config_updater=followed)


def test_a_file_is_in_the_config_map_in_which_prow_writes_it():
    # The first byte of the name's SHA-256 (FilterChanges in pkg/plugins/updateconfig), by sha256sum.
    first = {"hello.yaml": 0xD2, "a.yaml": 0xA4, "b.yaml": 0x0F}
    for count in (2, 3, 32):
        jobs_map = updater.JobsMap(count=count)
        found = {
            key: name
            for name, content in jobs_map.split(dict.fromkeys(first, "x")).items()
            for key in content.data
        }
        assert found == {key: jobs_map.names[byte % count] for key, byte in first.items()}


def test_a_set_of_the_same_names_is_the_same_whoever_writes_it():
    texts = make_noise(40, 40)
    shards = shard_files(texts, "job-config")
    assert shards is not None
    jobs_map = updater.JobsMap(count=len(shards), gzip=True)
    assert jobs_map.count > 1
    assert jobs_map.split(texts) == shards


def test_jobs_of_more_than_one_config_map_are_refused_with_the_entry_with_which_they_are_taken(
    tmp_path: Path,
):
    texts = make_noise(40, 40)
    with pytest.raises(ProwFilesError) as caught:
        load_jobs(tmp_path / "1", texts, JOBS_ENTRY.replace("}", ", gzip: true}"))
    [problem] = caught.value.problems
    assert str(problem).startswith(f"{P}:9: config_updater: ")
    assert "KiB compressed of jobs for job-config; a ConfigMap holds 1024 KiB; write " in problem.reason
    entry = problem.reason.partition("write ")[2]
    assert entry.startswith("prow/jobs/**/*.yaml: {partitioned_names: [job-config-1-of-")
    files = load_jobs(tmp_path / "2", texts, entry)
    assert not files.warnings
    assert all(
        content.size <= 900 * 1024
        for content in updater.read_jobs_map(files.plugins).split(files.texts).values()
    )


def test_text_that_fits_when_it_is_compressed_needs_one_config_map(tmp_path: Path):
    with pytest.raises(
        ProwFilesError, match=r"KiB of text of jobs .* write prow/.*: \{name: job-config, gzip: true\}"
    ):
        load_jobs(tmp_path, {f"{n}.yaml": "# " + "x" * 600_000 for n in range(2)}, JOBS_ENTRY)


def test_a_config_map_that_is_nearly_full_is_a_warning_before_a_merge_fills_it(tmp_path: Path):
    texts = make_noise(20, 42)
    entry = JOBS_ENTRY.replace("}", ", gzip: true}")
    for followed in (FOLLOWED, None):  # None: `python -m prowconfig`, as in a presubmit
        [warning] = load_jobs(tmp_path / str(followed), texts, entry, followed=followed).warnings
        assert "of jobs for job-config; " in warning.reason
        assert "write prow/jobs/**/*.yaml: {partitioned_names: " in warning.reason


def test_files_that_come_together_in_one_config_map_of_many_are_parted_by_another_number(tmp_path: Path):
    together = [key for n in range(2000) if sha256((key := f"{n}.yaml").encode()).digest()[0] % 32 == 0]
    first, *others = together
    byte = sha256(first.encode()).digest()[0]
    second = next(key for key in others if sha256(key.encode()).digest()[0] != byte)
    texts = dict(zip((first, second), make_noise(2, 500).values(), strict=True))
    found = updater.find_jobs_map(texts)
    assert found is not None
    assert found.count not in (1, 2, 4, 8, 16, 32)
    assert not load_jobs(tmp_path, texts, str(found)).warnings


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        ("[jobs-a, jobs-b, jobs-c]", "job-config-1-of-3, job-config-2-of-3, job-config-3-of-3]"),
        ("[job-config-2-of-2, job-config-1-of-2]", "[job-config-1-of-2, job-config-2-of-2]"),
        ("[job-config]", "[job-config-1-of-2, job-config-2-of-2]"),
        ("[]", "[job-config-1-of-2, job-config-2-of-2]"),
        (str([f"job-config-{n}-of-40" for n in range(1, 41)]), "job-config-32-of-32]"),
    ],
    ids=["own names", "another order", "one", "none", "too many"],
)
def test_other_names_of_the_config_maps_than_the_stacks_are_refused_with_these(tmp_path: Path, names, wanted):
    entry = JOBS_ENTRY.replace("name: job-config", f"partitioned_names: {names}")
    said = refused(tmp_path, plugins=PLUGINS.replace(JOBS_ENTRY, entry))
    assert any(line.startswith(f"{P}:9: partitioned_names: ") and wanted in line for line in said), said


def make_in(run, folder: Path, entry: str):
    folder.mkdir()
    recorder = configure(run, load_jobs(folder, {"a.yaml": JOBS, "b.yaml": "presubmits: {}\n"}, entry))
    return {key.partition("/")[2]: reveal(inputs) for key, inputs in recorder.of("ConfigMap").items()}


def test_each_file_is_in_one_of_several_config_maps_which_the_plugin_then_writes(run, tmp_path):
    made = make_in(run, tmp_path / "two", IN_TWO)
    assert set(made) == {"config", "plugins", "job-config-1-of-2", "job-config-2-of-2"}
    packed = [made[f"job-config-{n}-of-2"].get("binaryData") or {} for n in (1, 2)]
    assert sorted(key for content in packed for key in content) == ["a.yaml", "b.yaml"]
    for name in ("plugins", "job-config-1-of-2", "job-config-2-of-2"):
        assert made[name]["metadata"]["annotations"][config_updater.ANNOTATION] == FOLLOWED


@pytest.mark.parametrize(
    ("entry", "form"),
    [
        (JOBS_ENTRY, None),
        (JOBS_ENTRY.replace("}", ", gzip: true}"), "gzip"),
        (IN_TWO.replace(", gzip: true", ""), "2"),
        (IN_TWO, "2, gzip"),
    ],
    ids=["text", "compressed", "two", "two compressed"],
)
def test_another_number_of_config_maps_or_compression_makes_plugins_yaml_and_the_jobs_anew(
    run, tmp_path, entry, form
):
    made = make_in(run, tmp_path / "project", entry)
    annotations = [inputs["metadata"]["annotations"] for key, inputs in made.items() if key != "config"]
    assert {found.get(config_updater.FORM_ANNOTATION) for found in annotations} == {form}


def test_without_it_no_object_has_a_writer(run, tmp_path):
    _, made = config_maps(run, tmp_path, None)
    assert not any("annotations" in inputs["metadata"] for inputs in made.values())


def test_components_come_after_the_config_maps_and_are_not_made_anew_with_them(run, recorder):
    registered = Registrations(recorder)
    run(lambda: make("red", install_crd=True) and None)
    names = {f"red-configuration-{name}" for name in ("config", "plugins", "job-config")}
    hook = registered["red-components-hook-deployment"]
    assert registered.dependencies("red-components-hook-deployment") >= names
    used = {urn.rpartition("::")[2] for urn in hook.propertyDependencies["spec"].urns}
    assert used
    assert used.isdisjoint(names)


USER_MAPS = (
    UserMap(
        name="label-config",
        place=Place.JOBS,
        namespace="test-pods",
        content=ConfigMapContent(data={"labels.yaml": "a"}),
    ),
    UserMap(
        name="own",
        place=Place.PROW,
        namespace="",
        content=ConfigMapContent(data={}, binary_data={"a": "YQ=="}),
    ),
    UserMap(name="theirs", place=Place.ELSEWHERE, namespace="elsewhere", content=None),
    UserMap(name="other", place=Place.ELSEWHERE, namespace="elsewhere", content=None),
)


def test_the_users_config_maps_are_made_in_the_stacks_namespaces_and_hook_may_write_each_of_them(run):
    args = UserMapsArgs(namespace="prow", job_namespace="test-pods", maps=USER_MAPS, repository=FOLLOWED)
    recorder = run(lambda: UserMaps("maps", args))
    made = {key: reveal(inputs) for key, inputs in recorder.of("ConfigMap").items()}
    assert set(made) == {"test-pods/label-config", "prow/own"}
    assert made["test-pods/label-config"]["data"] == {"labels.yaml": "a"}
    assert made["prow/own"]["binaryData"] == {"a": "YQ=="}
    assert all(
        inputs["metadata"]["annotations"] == {config_updater.ANNOTATION: FOLLOWED} for inputs in made.values()
    )
    roles = {key: reveal(inputs)["rules"] for key, inputs in recorder.of("Role").items()}
    assert {key: rule["resourceNames"] for key, (rule,) in roles.items()} == {
        "test-pods/prow-config-updater": ["label-config"],
        "prow/prow-config-updater": ["own"],
        "elsewhere/prow-config-updater": ["other", "theirs"],
    }
    assert {tuple(rule["verbs"]) for (rule,) in roles.values()} == {("get", "update")}
    for key, inputs in recorder.of("RoleBinding").items():
        binding = reveal(inputs)
        assert key in roles
        assert binding["roleRef"]["name"] == "prow-config-updater"
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "hook", "namespace": "prow"}]
