"""Configuration: every mistake at once, and where each value came from."""

from __future__ import annotations

from pathlib import Path

import pytest

from collabd.config import CloudConfig, ConfigError, DeviceConfig, load, model_roots, state_dir


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "collabd.toml"
    path.write_text(text)
    return path


def problems(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(DeviceConfig, write(tmp_path, text))
    return caught.value.problems


def test_no_file_means_defaults() -> None:
    loaded = load(DeviceConfig, None)
    assert loaded.config == DeviceConfig()
    assert {setting["origin"] for setting in loaded.report().values()} == {"default"}


def test_values_and_their_origin(tmp_path: Path) -> None:
    path = write(tmp_path, '[planning]\nmin_fidelity = 1\n[[clouds]]\nname = "pc"\nurl = "http://10.0.0.2:8470"\n')
    loaded = load(DeviceConfig, path)
    assert loaded.config.planning.min_fidelity == 1.0
    assert loaded.config.clouds[0].push_packages is True
    origins = {key: setting["origin"] for key, setting in loaded.report().items()}
    assert origins["planning.min_fidelity"] == str(path)
    assert origins["clouds[0].name"] == str(path)
    assert origins["clouds[0].price_per_gb"] == "default"
    assert origins["planning.cap_quantile"] == "default"


def test_every_mistake_is_named_with_file_and_key(tmp_path: Path) -> None:
    text = """
    [servr]
    [planning]
    min_fidelity = 2
    deadline_quantle = 0.9
    [link]
    memory = nan
    [[clouds]]
    url = "ftp://pc"
    """
    found = problems(tmp_path, text)
    assert len(found) == 6
    assert "servr: unknown key, did you mean 'server'?" in found
    assert "planning.deadline_quantle: unknown key, did you mean 'cap_quantile'?" in found
    assert any(line.startswith("planning.min_fidelity: Expected `float` <= 1.0") for line in found)
    assert any(line.startswith("link.memory: must be a finite number") for line in found)
    assert any(line.startswith("clouds[0].url: Expected `str` matching") for line in found)
    assert "clouds[0].name: missing" in found


def test_the_message_names_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "[engine]\nthreads = -1\n")
    with pytest.raises(ConfigError, match=f"^{path}: engine.threads"):
        load(CloudConfig, path)


@pytest.mark.parametrize(
    "text",
    [
        "[planning",
        "a = \x00",
        '[[clouds]]\nname="a"\nurl="http://a"\n' * 2,
        "a = " + "[" * 5000,
        "a = " + "1" * 5000,
        'state_dir = "a\\u0000b"',
        '[models]\nroots = ["~nobodyhere/models"]',
        '[[clouds]]\nname="a"\nurl="http://a"\ntoken_file="~nobodyhere/token"',
    ],
    ids=lambda text: text[:20],
)
def test_unusable_files(tmp_path: Path, text: str) -> None:
    assert len(problems(tmp_path, text)) == 1


def test_no_lane_is_without_a_thread(tmp_path: Path) -> None:
    path = tmp_path / "cloud.toml"
    path.write_text("[engine]\nthreads = 2\nlanes = 3\n")
    with pytest.raises(ConfigError, match=r"engine\.lanes: 3 lanes need as many threads"):
        load(CloudConfig, path)
    for text in ("threads = 2\nlanes = 2", "lanes = 3"):
        path.write_text(f"[engine]\n{text}\n")
        assert load(CloudConfig, path).config.engine.lanes in {2, 3}


def test_a_custom_board_needs_its_figures(tmp_path: Path) -> None:
    found = problems(tmp_path, '[energy]\nboard = "custom"\nbusy_w = 4.0\n')
    assert found == ["energy.idle_w: missing; a custom board has no model to take it from"]


def test_a_table_list_given_as_a_value(tmp_path: Path) -> None:
    assert problems(tmp_path, "clouds = 3\n")[0].startswith("clouds: Expected `array`")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load(DeviceConfig, tmp_path / "none.toml")


def test_state_goes_where_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", "/x")
    assert state_dir(DeviceConfig(), "collabd") == Path("/x/collabd")
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/collabd")
    assert state_dir(DeviceConfig(), "collabd") == Path("/var/lib/collabd")
    assert state_dir(DeviceConfig(state_dir="/own"), "collabd") == Path("/own")
    assert model_roots(DeviceConfig(state_dir="/own"), "collabd")[0] == Path("/own/models")


ETC = Path(__file__).parents[2] / "etc"


@pytest.mark.parametrize(("name", "kind"), [("collabd.toml", DeviceConfig), ("collab-cloudd.toml", CloudConfig)])
def test_the_installed_file_shows_every_default(tmp_path: Path, name: str, kind: type[DeviceConfig]) -> None:
    text = (ETC / name).read_text()
    assert load(kind, ETC / name).config == kind()
    # Uncommented settings; prose has a space behind the hash.
    lines = [line.removeprefix("#") for line in text.splitlines() if not line.startswith("# ")]
    shown = write(tmp_path, "\n".join(lines))
    loaded = load(kind, shown)
    documented = {key.replace("clouds[0]", "clouds") for key in loaded.given}
    expected = set(load(kind, None).report()) - {"clouds", "policies", "doors", "models.roots"}
    assert expected <= documented
    for key, default in load(kind, None).report().items():
        if key not in {"clouds", "policies", "doors"} and not key.startswith("energy."):
            assert loaded.report()[key]["value"] == default["value"], key


def test_only_a_door_of_zeromq_listens_at_a_path(tmp_path: Path) -> None:
    door = '[[doors]]\nkind = "{}"\nlisten = "{}"\n'
    loaded = load(DeviceConfig, write(tmp_path, door.format("frigate-zmq", "ipc:///run/door.sock")))
    assert loaded.config.doors[0].listen == "ipc:///run/door.sock"
    (problem,) = problems(tmp_path, door.format("oip", "ipc:///run/door.sock"))
    assert problem == "doors[0].listen: a door of kind oip listens at HOST:PORT, not 'ipc:///run/door.sock'"
    for unfit in ("ipc://door", "ipc:///", "ipc:///a b", f"ipc:///{'a' * 101}", "tcp://127.0.0.1:5555"):
        assert len(problems(tmp_path, door.format("frigate-zmq", unfit))) == 1
