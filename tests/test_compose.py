"""docker-compose.yml, config/Dockerfile, config/registry.yml and config/secrets.sh keep what they promise."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from service.dispatch import QUEUES
from service.settings import Settings, load_settings
from tests.fakes.certificates import make_certificates
from tests.fakes.nginx import nginx_binary, rendered
from tests.support import manual

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docker-compose.yml").read_text()
DOCKERFILE = (ROOT / "config/Dockerfile").read_text()
STORAGE = "/var/lib/registry"


def interpolated(text: str) -> Any:
    """Read the file as Compose does when no variable is set; a variable without a default stays as it is."""
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)
    assert not re.search(r"(?<!\$)\$(?!\$)\w*", text.replace("$$", "")), "a variable without a default"
    return yaml.safe_load(text.replace("$$", "$"))


COMPOSE = interpolated(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
WAITS = [waits for service in SERVICES.values() for waits in service.get("depends_on", {}).items()]
WAITED_FOR = {(name, wait["condition"]) for name, wait in WAITS}
ONE_SHOT = {name for name, condition in WAITED_FOR if condition == "service_completed_successfully"}
LASTING = sorted(SERVICES.keys() - ONE_SHOT)
OURS = ("web", "gatekeeper", "worker", "gc-worker")

each_service = pytest.mark.parametrize("name", sorted(SERVICES))
each_lasting = pytest.mark.parametrize("name", LASTING)


def mounts(name: str) -> dict[str, tuple[str, bool]]:
    """The mounts of a service: volume or folder, and True if it can be written."""
    result = {}
    for volume in SERVICES[name].get("volumes", []):
        if isinstance(volume, str):
            source, target, *mode = volume.split(":")
            result[target] = (source, "ro" not in mode)
        else:
            result[volume["target"]] = (volume["source"], not volume.get("read_only", False))
    return result


def option(command: list[str], flag: str) -> str:
    return command[command.index(flag) + 1]


def validate(file: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(file)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_compose_specification_allows_every_key_of_the_file(tmp_path: Path) -> None:
    checked = validate(ROOT / "docker-compose.yml")
    assert checked.returncode == 0, checked.stdout
    (tmp_path / "misspelt.yml").write_text(TEXT.replace("read_only:", "readonly:"))
    assert validate(tmp_path / "misspelt.yml").returncode == 1


@each_service
def test_a_container_has_no_rights_and_writes_only_to_its_volumes(name: str) -> None:
    service = SERVICES[name]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", service["user"])
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["init"] is True
    assert not {"privileged", "cap_add", "devices", "pid", "ipc", "userns_mode"} & service.keys()


@each_service
def test_a_container_sees_nothing_of_the_host_but_the_configuration(name: str) -> None:
    for source, writable in mounts(name).values():
        assert source in COMPOSE["volumes"] or (source.startswith("./config") and not writable)
    assert "docker.sock" not in TEXT
    assert SERVICES[name].get("network_mode", "none") == "none"


def test_all_run_as_the_user_whose_folders_the_image_has() -> None:
    users = {service["user"] for service in SERVICES.values()}
    assert users == set(re.findall(r"^USER (\S+)$", DOCKERFILE, re.MULTILINE))
    owned = re.search(r"install -d -o (\d+) -g (\d+) (.+)", DOCKERFILE)
    assert owned
    assert users == {f"{owned[1]}:{owned[2]}"}
    assert set(owned[3].split()) == set(mounts("prepare"))


def test_a_volume_is_not_given_back_to_the_user_of_another_image() -> None:
    for name in ("redis", "registry"):
        own = [volume for volume in SERVICES[name]["volumes"] if volume["type"] == "volume"]
        assert [volume["volume"] for volume in own] == [{"nocopy": True}]
        assert SERVICES[name]["depends_on"]["prepare"]["condition"] == "service_completed_successfully"


@each_service
def test_no_secret_stands_in_an_environment(name: str) -> None:
    given = {f"/run/secrets/{secret}" for secret in SERVICES[name].get("secrets", [])}
    for variable, value in SERVICES[name].get("environment", {}).items():
        assert not re.search(r"//[^/]*@", value)
        if re.search(r"PASSWORD|TOKEN|SECRET|URL_FILE", variable):
            assert variable.endswith("_FILE")
            assert value in given
    assert all(COMPOSE["secrets"][path.rpartition("/")[2]]["file"].startswith("./secrets/") for path in given)


def test_only_the_web_knows_the_tokens() -> None:
    tokens = {name for name in COMPOSE["secrets"] if name.endswith("_token")}
    assert tokens == {"notify_token", "read_token", "admin_token"}
    assert tokens <= set(SERVICES["web"]["secrets"])
    for name in ("worker", "gc-worker", "redis"):
        assert not tokens & set(SERVICES[name]["secrets"])
    assert tokens & set(SERVICES["registry"]["secrets"]) == {"notify_token"}


@each_lasting
def test_a_service_says_how_it_is_and_comes_back(name: str) -> None:
    service = SERVICES[name]
    assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
    assert service["restart"] == "unless-stopped"
    assert re.fullmatch(r"\d+[sm]", service["stop_grace_period"])
    assert service["logging"]["options"]["max-size"]


def test_services_wait_for_healthy_services_and_the_registry_waits_for_none_of_pushprune() -> None:
    assert {condition for _, condition in WAITED_FOR} == {"service_healthy", "service_completed_successfully"}
    assert set(SERVICES["registry"]["depends_on"]) == {"prepare"}
    assert "depends_on" not in SERVICES["prepare"]
    for name in ("worker", "gc-worker"):
        assert set(SERVICES[name]["depends_on"]) == {"redis", "registry"}


def test_nginx_is_restarted_if_what_it_knows_by_address_is_made_anew() -> None:
    """Without this, nginx asks the addresses of containers that no longer exist, and refuses every push."""
    upstreams = set(re.findall(r"server (\w+):\d+;", (ROOT / "config/nginx.conf").read_text()))
    assert {name for name, wait in SERVICES["gate"]["depends_on"].items() if wait.get("restart")} == upstreams


@each_service
def test_only_this_machine_can_connect(name: str) -> None:
    published = SERVICES[name].get("ports", [])
    assert all(port.startswith("127.0.0.1:") for port in published)
    assert bool(published) == (name in ("gate", "web", "grafana"))


def test_everybody_but_us_gets_to_the_registry_through_the_gate() -> None:
    assert mounts("gate") == {"/etc/nginx/nginx.conf": ("./config/nginx.conf", False)}
    assert set(SERVICES["gate"]["depends_on"]) == {"registry", "gatekeeper"}
    nginx = (ROOT / "config/nginx.conf").read_text()
    for name, config in (("registry", registry_config()["http"]["addr"]), ("gatekeeper", gate_port())):
        assert f"server {name}{config};" in nginx
    waits_s = re.search(r"proxy_read_timeout (\d+)s; # longer than gc.gate_wait", nginx)
    assert waits_s
    assert int(waits_s[1]) > Settings().gc.gate_wait
    (published,) = SERVICES["gate"]["ports"]
    assert f"listen {published.rpartition(':')[2]};" in nginx


def test_nginx_ends_before_it_is_killed_if_the_address_of_the_registry_is_gone() -> None:
    """A request that waited a minute for the connection kept nginx from ending, and all clients from their images."""
    server = re.search(r"server \{\n +listen.*?location", (ROOT / "config/nginx.conf").read_text(), re.DOTALL)
    assert server
    connects_s = re.search(r"^ +proxy_connect_timeout (\d+)s;", server[0], re.MULTILINE)
    assert connects_s
    assert 3 * int(connects_s[1]) < int(SERVICES["gate"]["stop_grace_period"].removesuffix("s"))


def gate_port() -> str:
    return ":" + str(SERVICES["gatekeeper"]["environment"]["PUSHPRUNE_GC__GATE_LISTEN"]).rpartition(":")[2]


def test_nginx_speaks_tls_as_the_manual_says(tmp_path: Path) -> None:
    (override,) = re.findall(r"```yaml\n( +services:\n +gate:.*?)```", manual.page("production"), re.DOTALL)
    gate = yaml.safe_load(override)["services"]["gate"]
    assert gate["ports"] == ["443:443"]
    _, folder, mode = gate["volumes"][0].split(":")
    assert mode == "ro"
    text = rendered(tmp_path, listen="127.0.0.1:5000", gate="127.0.0.1:8081", registry="127.0.0.1:5000")
    text, lines = re.subn(r"# (listen 443 ssl|ssl_certificate\w* \S+);", r"\1;", text)
    assert lines == 3
    certificates = make_certificates(tmp_path)
    for name, file in zip(("fullchain.pem", "privkey.pem"), certificates.server, strict=True):
        assert f"{folder}/{name};" in text
        text = text.replace(f"{folder}/{name};", f"{file};")
    (tmp_path / "nginx.conf").write_text(text)
    tried = subprocess.run([nginx_binary(), "-t", "-c", str(tmp_path / "nginx.conf")], capture_output=True, text=True)
    assert tried.returncode == 0, tried.stderr


def test_a_bucket_takes_the_place_of_the_volume_as_the_manual_says(secrets: Path, tmp_path: Path) -> None:
    """All processes of pushprune read the file that names the secret of the bucket; only workers had a path."""
    (override,) = re.findall(r"```yaml\n( +services:\n +web:.*?)```", manual.page("bucket"), re.DOTALL)
    added = yaml.safe_load(override)
    (secret,) = added["secrets"]
    (secrets / secret).write_text("key")
    storage = f"{{url: 's3://registry/some/folder', access_key: pushprune, secret_key_file: {secrets / secret}}}"
    (tmp_path / "bucket.yaml").write_text(f"storage: {storage}\n")
    assert added["services"].keys() == set(OURS)
    for name, service in added["services"].items():
        assert service["secrets"] == [secret]
        environment = {**SERVICES[name]["environment"], **service.get("environment", {})}
        environment = {key: value.replace("/run/secrets/", f"{secrets}/") for key, value in environment.items()}
        settings = load_settings(tmp_path / "bucket.yaml", environ=environment)
        assert (settings.storage.url, settings.storage.path) == ("s3://registry/some/folder", None)
    # The root of the container is read-only, and a collection of a bucket has its lock there.
    assert SERVICES["gc-worker"]["environment"]["PUSHPRUNE_DATA_DIR"] == "/tmp"


def test_only_nginx_reaches_the_process_that_it_asks() -> None:
    assert COMPOSE["networks"]["gate"] == {"internal": True}
    assert {name for name in LASTING if "gate" in SERVICES[name]["networks"]} == {"gate", "gatekeeper"}
    assert SERVICES["gatekeeper"]["networks"] == ["gate", "store"]


def test_redis_stands_where_only_we_can_reach_it() -> None:
    assert COMPOSE["networks"]["store"] == {"internal": True}
    assert SERVICES["redis"]["networks"] == ["store"]
    assert {name for name in LASTING if "store" in SERVICES[name]["networks"]} == {"redis", "grafana", *OURS}


def test_only_the_gc_worker_collects() -> None:
    command = SERVICES["gc-worker"]["command"]
    assert option(command, "--queues") == QUEUES["pushprune.collect"]
    assert option(command, "--concurrency") == "1"
    assert mounts("gc-worker")[STORAGE] == mounts("registry")[STORAGE] == ("storage", True)
    assert mounts("worker")[STORAGE] == ("storage", False)
    assert STORAGE not in mounts("web")


def test_every_queue_has_its_worker() -> None:
    served = [option(SERVICES[name]["command"], "--queues").split(",") for name in ("worker", "gc-worker")]
    assert sorted(queue for queues in served for queue in queues) == sorted(QUEUES.values())


@pytest.mark.parametrize("name", ["worker", "gc-worker"])
def test_a_workers_health_is_that_of_its_own_name(name: str) -> None:
    assert option(SERVICES[name]["command"], "--name") == name
    assert SERVICES[name]["healthcheck"]["test"] == ["CMD", "python", "-m", "workers.health", name]


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """A folder with all secrets, as the documented command makes it."""
    folder = tmp_path / "secrets"
    subprocess.run(["sh", str(ROOT / "config/secrets.sh"), str(folder)], check=True, capture_output=True)
    return folder


def test_a_command_makes_every_secret_and_never_replaces_one(secrets: Path) -> None:
    made = {file.name: file.read_text() for file in secrets.iterdir() if not file.name.startswith(".")}
    assert made.keys() == COMPOSE["secrets"].keys()
    assert len(set(made.values())) == len(made)
    assert secrets.stat().st_mode & 0o777 == 0o700
    (secrets / "read_token").unlink()
    subprocess.run(["sh", str(ROOT / "config/secrets.sh"), str(secrets)], check=True, capture_output=True)
    again = {name: (secrets / name).read_text() for name in made}
    assert {name for name in made if made[name] != again[name]} == {"read_token"}


def test_an_empty_secret_is_replaced_although_its_owner_may_not_write_it(secrets: Path) -> None:
    """A second name of the file shows that it is replaced, because root may write every file."""
    (secrets / "read_token").write_text("")
    (secrets / "read_token").chmod(0o444)
    (secrets.parent / "same_file").hardlink_to(secrets / "read_token")
    subprocess.run(["sh", str(ROOT / "config/secrets.sh"), str(secrets)], check=True, capture_output=True)
    assert len((secrets / "read_token").read_text()) == 64
    assert (secrets.parent / "same_file").read_text() == ""


def settings_of(name: str, secrets: Path) -> Settings:
    def here(value: str) -> str:
        return value.replace("/run/secrets/", f"{secrets}/").replace("/etc/pushprune/", f"{ROOT}/config/")

    environment = {variable: here(value) for variable, value in SERVICES[name]["environment"].items()}
    return load_settings(environ=environment)


@pytest.mark.parametrize("name", OURS)
def test_the_settings_are_accepted(name: str, secrets: Path) -> None:
    settings = settings_of(name, secrets)
    assert settings.redis.url == (secrets / "redis_url").read_text()
    assert settings.registry.url == f"http://registry:{registry_config()['http']['addr'].removeprefix(':')}"
    assert settings.policy is not None
    assert settings.gc.gate == "proxy"
    assert settings.registry.debug_url == (f"http://registry{registry_config()['http']['debug']['addr']}",)
    assert registry_config()["http"]["debug"]["prometheus"] == {"enabled": True}
    assert settings.gc.command is not None
    assert settings.gc.command[:2] == ["registry", "garbage-collect"]
    assert Path(settings.gc.command[2]) == ROOT / "config/registry.yml"
    assert mounts(name)["/etc/pushprune"] == ("./config", False)
    assert (settings.storage.path == Path(STORAGE)) == (name not in ("web", "gatekeeper"))
    assert settings.listen == ("0.0.0.0:8080" if name == "web" else "127.0.0.1:8080")


def registry_config() -> Any:
    return yaml.safe_load((ROOT / "config/registry.yml").read_text())


def test_the_registry_allows_deleting_has_no_cache_and_tells_us() -> None:
    config = registry_config()
    assert config["storage"]["delete"] == {"enabled": True}
    assert "cache" not in config["storage"]
    assert config["storage"]["filesystem"] == {"rootdirectory": STORAGE}
    assert config["notifications"]["events"] == {"includereferences": True}
    (endpoint,) = config["notifications"]["endpoints"]
    assert endpoint["url"] == "http://web:8080/notifications"
    assert config["log"]["level"] == "warn"  # at info it prints the token (service/README.md, Delivery)


def run_entrypoint(name: str, secrets: Path, place: Path, binary: str) -> subprocess.CompletedProcess[str]:
    """Run a service's own script in `place`, where a stand-in for the binary keeps what it was started with."""
    shell, flags, script = SERVICES[name]["entrypoint"]
    moved: Mapping[str, str] = {
        "/run/secrets/": f"{secrets}/",
        "/tmp/": f"{place}/",
        "/etc/docker/registry/config.yml": f"{ROOT}/config/registry.yml",
    }
    script = re.sub("|".join(map(re.escape, moved)), lambda result: moved[result[0]], script)
    stand_in = place / binary
    stand_in.write_text('#!/bin/sh\nprintf "%s\\n" "$@" > arguments\nprintf %s "${REGISTRY_HTTP_SECRET:-}" > secret\n')
    stand_in.chmod(0o755)
    environment = {"PATH": f"{place}:/usr/bin:/bin"}
    command = [shell, flags, script]
    return subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False)


def test_the_registry_starts_with_our_token_and_a_fixed_secret(secrets: Path, tmp_path: Path) -> None:
    assert run_entrypoint("registry", secrets, tmp_path, "registry").returncode == 0
    assert (tmp_path / "arguments").read_text().split() == ["serve", str(tmp_path / "config.yml")]
    assert (tmp_path / "secret").read_text() == (secrets / "registry_http_secret").read_text()
    config = yaml.safe_load((tmp_path / "config.yml").read_text())
    token = (secrets / "notify_token").read_text()
    assert config["notifications"]["endpoints"][0].pop("headers") == {"Authorization": [f"Bearer {token}"]}
    expected = registry_config()
    del expected["notifications"]["endpoints"][0]["headers"]
    assert config == expected
    assert (tmp_path / "config.yml").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("token", ["", "two words", "a|b", "a&b", 'a"b', "a\nb"])
def test_the_registry_does_not_start_with_a_token_it_cannot_send(token: str, secrets: Path, tmp_path: Path) -> None:
    (secrets / "notify_token").chmod(0o600)
    (secrets / "notify_token").write_text(token)
    refused = run_entrypoint("registry", secrets, tmp_path, "registry")
    assert refused.returncode == 1
    assert refused.stderr.startswith("notify_token must be one word")
    assert "sh config/secrets.sh" in refused.stderr
    assert not (tmp_path / "arguments").exists()


def test_redis_keeps_everything_and_asks_for_the_password(secrets: Path, tmp_path: Path) -> None:
    assert run_entrypoint("redis", secrets, tmp_path, "redis-server").returncode == 0
    file, *options = (tmp_path / "arguments").read_text().split()
    assert Path(file).read_text() == f"requirepass {(secrets / 'redis_password').read_text()}\n"
    assert dict(zip(options[::2], options[1::2], strict=True)) == {
        "--dir": "/data",
        "--appendonly": "yes",
        "--maxmemory-policy": "noeviction",
        "--maxmemory": "512mb",
    }
    assert mounts("redis") == {"/data": ("redis", True)}


def test_every_service_has_a_limit_of_memory_and_redis_refuses_writes_long_before_its_own() -> None:
    """Rewriting the append-only file may take as much memory again."""
    assert [name for name, service in SERVICES.items() if "mem_limit" not in service] == []
    assert SERVICES["redis"]["mem_limit"] == "1g"
    assert "--maxmemory 512mb" in SERVICES["redis"]["entrypoint"][-1]


def test_the_image_is_the_registrys_binary_and_our_wheel() -> None:
    *_, final = re.split(r"^FROM .*$", DOCKERFILE, flags=re.MULTILINE)
    bases = dict(re.findall(r"^ARG (\w+_IMAGE)=(\S+)$", DOCKERFILE, re.MULTILINE))
    assert bases["REGISTRY_IMAGE"] == SERVICES["registry"]["image"]
    assert bases == {name: SERVICES["prepare"]["build"]["args"][name] for name in bases}
    assert "COPY --from=registry /bin/registry /usr/local/bin/registry" in final
    assert not re.search(r"apt-get|apk |pip ", final)
    assert json.loads(final.partition("\nCMD ")[2]) == SERVICES["web"]["command"]


def test_the_image_is_built_once_from_what_it_needs_and_nothing_else() -> None:
    assert {SERVICES[name]["image"] for name in (*OURS, "prepare")} == {"pushprune"}
    assert [name for name in SERVICES if "build" in SERVICES[name]] == ["prepare"]
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    needed = {source for line in copied for source in line.split()}
    admitted = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    assert needed == set(admitted)


def test_monitoring_runs_only_where_it_is_asked_for_and_sees_what_is_provisioned() -> None:
    assert {name for name in SERVICES if "profiles" in SERVICES[name]} == {"prometheus", "grafana"}
    assert mounts("prometheus") == {
        "/etc/prometheus": ("./config/prometheus", False), "/prometheus": ("metrics", True),
    }  # fmt: skip
    assert mounts("grafana") == {
        "/etc/grafana/provisioning": ("./config/grafana/provisioning", False),
        "/etc/grafana/dashboards": ("./config/grafana/dashboards", False),
    }  # fmt: skip
    assert "--config.file=/etc/prometheus/prometheus.yml" in SERVICES["prometheus"]["command"]
    providers = yaml.safe_load((ROOT / "config/grafana/provisioning/dashboards/pushprune.yml").read_text())
    assert [item["options"]["path"] for item in providers["providers"]] == ["/etc/grafana/dashboards"]
    sources = (ROOT / "config/grafana/provisioning/datasources/pushprune.yml").read_text()
    for secret in re.findall(r"/run/secrets/(\w+)", sources):
        assert secret in SERVICES["grafana"]["secrets"]
    plugin = SERVICES["grafana"]["environment"]["GF_INSTALL_PLUGINS"]
    assert re.fullmatch(r"redis-datasource \d+\.\d+\.\d+", plugin), "always the same plugin"
    assert {urlsplit(source["url"]).hostname for source in yaml.safe_load(sources)["datasources"]} <= SERVICES.keys()
    assert SERVICES["prometheus"]["secrets"] == ["read_token"]


def test_monitoring_may_not_change_anything() -> None:
    for name in ("prometheus", "grafana"):
        assert not {"admin_token", "notify_token"} & set(SERVICES[name]["secrets"])
