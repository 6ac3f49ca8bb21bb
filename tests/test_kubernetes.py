"""config/kubernetes can be built and is valid, our processes accept its settings, and its network keeps others out.

No cluster runs here: the manifests are built, validated and compared with the product.
"""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from service.cli.main import pushprune
from service.dispatch import QUEUES
from service.settings import Settings, load_settings
from service.web.app import create_app, create_gate
from service.wiring import Wiring
from tests.conftest import MakeWiring
from tests.fakes.nginx import CONFIG as NGINX
from tests.support.alerts import rules
from tests.support.kubernetes import KUBERNETES, SECRETS, Manifest, build, container, copy_with_secrets, of_kind, pod
from tests.support.manual import ROOT, page

pytestmark = pytest.mark.slow

OURS = ("web", "gatekeeper", "worker", "gc-worker")
PODS = (*OURS, "gate", "registry", "redis")

each_pod = pytest.mark.parametrize("name", PODS)
each_of_ours = pytest.mark.parametrize("name", OURS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The manifests beside secrets, which the commands in example/kustomization.yaml make."""
    return copy_with_secrets(tmp_path_factory.mktemp("kubernetes") / "kubernetes")


@pytest.fixture(scope="module")
def example(folder: Path) -> list[Manifest]:
    """Every manifest of the example."""
    return build(folder / "example")


def ports(manifests: list[Manifest], name: str) -> dict[str, int]:
    return {port["name"]: port["containerPort"] for port in container(manifests, name).get("ports", ())}


def valid(manifest: Manifest) -> None:
    # It takes two seconds to import, and each process imports this file.
    import kubernetes_validate

    kubernetes_validate.validate(manifest, "1.33", strict=True)


def test_every_manifest_follows_the_schema_of_kubernetes(example: list[Manifest]) -> None:
    custom = {manifest["kind"] for manifest in example if manifest["apiVersion"].startswith("monitoring.coreos.com/")}
    assert custom == {"ServiceMonitor"}
    for manifest in example:
        if manifest["kind"] not in custom:
            valid(manifest)
    from kubernetes_validate import ValidationError

    misspelt = {**of_kind(example, "Service")["web"], "spce": {}}
    with pytest.raises(ValidationError):
        valid(misspelt)


def test_everything_of_the_example_is_in_one_namespace_with_the_strictest_standard(example: list[Manifest]) -> None:
    (namespace,) = of_kind(example, "Namespace").values()
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    others = [manifest["metadata"] for manifest in example if manifest is not namespace]
    assert {metadata["namespace"] for metadata in others} == {namespace["metadata"]["name"]}


@each_pod
def test_a_pod_has_no_rights_and_writes_only_to_its_volumes(name: str, example: list[Manifest]) -> None:
    spec, main = pod(example, name), container(example, name)
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    user = {spec["securityContext"][key] for key in ("runAsUser", "runAsGroup", "fsGroup")}
    assert f"USER {user.pop()}:" in (ROOT / "config/Dockerfile").read_text()
    assert not user
    assert main["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    assert {"requests", "limits"} == main["resources"].keys()
    kinds = {kind for volume in spec["volumes"] for kind in volume.keys() - {"name"}}
    assert kinds <= {"configMap", "emptyDir", "secret"}


@each_pod
def test_a_pod_gets_only_the_secrets_that_it_reads(name: str, example: list[Manifest], folder: Path) -> None:
    main = container(example, name)
    given = {
        item["path"] for volume in pod(example, name)["volumes"] for item in volume.get("secret", {}).get("items", [])
    }
    settings = yaml.safe_load((KUBERNETES / "example/pushprune.yaml").read_text()) if name in OURS else {}
    text = yaml.safe_dump([main, settings], width=10_000)
    assert given == {file.name for file in (folder / "example/secrets").iterdir() if f"{SECRETS}/{file.name}" in text}
    assert given <= of_kind(example, "Secret")["pushprune"]["data"].keys()
    assert not {"admin_token", "read_token"} & given or name == "web"


def environment(manifests: list[Manifest], name: str, place: Path) -> dict[str, str]:
    """The environment of one of our processes, with its files in `place`."""
    for volume in of_kind(manifests, "ConfigMap").values():
        if volume["metadata"]["name"].startswith("pushprune"):
            text = volume["data"]["pushprune.yaml"].replace(SECRETS, f"{place}/example/secrets")
            (place / "pushprune.yaml").write_text(text)
    moved = {"/etc/pushprune": str(place), SECRETS: f"{place}/example/secrets"}
    variables = {}
    for variable in container(manifests, name)["env"]:
        value = variable["value"]
        for before, after in moved.items():
            value = value.replace(before, after)
        variables[variable["name"]] = value
    return variables


def settings_of(manifests: list[Manifest], name: str, place: Path) -> Settings:
    return load_settings(environ=environment(manifests, name, place))


@each_of_ours
def test_the_settings_are_accepted(name: str, example: list[Manifest], folder: Path) -> None:
    settings = settings_of(example, name, folder)
    services = of_kind(example, "Service")
    assert settings.redis.url == (folder / "example/secrets/redis_url").read_text()
    assert f"@redis:{services['redis']['spec']['ports'][0]['port']}/" in settings.redis.url
    assert settings.registry.url == f"http://registry:{services['registry']['spec']['ports'][0]['port']}"
    assert settings.registry.debug_url == (
        f"http://registry-debug:{services['registry-debug']['spec']['ports'][0]['port']}",
    )
    assert (settings.gc.collector, settings.gc.gate) == ("online", "proxy")
    assert settings.policy is not None
    assert settings.storage.secret_key is not None
    assert (settings.tokens.admin is not None) == (name == "web")


def test_the_base_alone_has_settings_that_are_accepted(folder: Path) -> None:
    base = build(folder / "base")
    for name in OURS:
        assert settings_of(base, name, folder).gc.collector == "online"


@each_of_ours
def test_a_pod_runs_a_verb_with_options_that_exist(name: str, example: list[Manifest]) -> None:
    program, verb, *options = container(example, name)["args"]
    assert program == "pushprune"
    command = pushprune.get_command(click.Context(pushprune), verb)
    assert command
    command.make_context(verb, list(options))


def test_every_queue_has_its_worker_and_collections_have_one(example: list[Manifest]) -> None:
    served = [container(example, name)["args"][3].split(",") for name in ("worker", "gc-worker")]
    assert sorted(queue for queues in served for queue in queues) == sorted(QUEUES.values())
    assert served[1] == [QUEUES["pushprune.collect"]]
    assert of_kind(example, "Deployment")["gc-worker"]["spec"]["replicas"] == 1


def test_the_lock_of_the_collector_is_on_a_volume_that_can_be_written(example: list[Manifest], folder: Path) -> None:
    mounted = {mount["mountPath"]: mount for mount in container(example, "gc-worker")["volumeMounts"]}
    place = str(settings_of(example, "gc-worker", folder).data_dir)
    assert not mounted[place].get("readOnly", False)


@pytest.mark.parametrize("name", ["worker", "gc-worker"])
def test_the_probes_of_a_worker_ask_for_signs_of_its_own_name(name: str, example: list[Manifest]) -> None:
    main = container(example, name)
    assert main["args"][main["args"].index("--name") + 1] == name
    for probe in ("readinessProbe", "livenessProbe"):
        assert main[probe]["exec"]["command"] == ["python", "-m", "workers.health", name]
    patience_s = main["livenessProbe"]["periodSeconds"] * main["livenessProbe"]["failureThreshold"]
    assert patience_s >= 600, "a Redis that is away for some minutes restarts no worker"


@pytest.mark.parametrize("name", ["web", "gatekeeper"])
def test_a_process_that_migrates_the_store_is_not_restarted_for_it(name: str, example: list[Manifest]) -> None:
    probe = container(example, name)["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] >= 600


def test_the_patch_on_the_manuals_page_replaces_the_command_of_the_pod_that_imports(example: list[Manifest]) -> None:
    (patch,) = re.findall(r"kubectl patch deployment/(\S+) .*?--patch='(.*?)'", page("kubernetes"), re.DOTALL)
    name, (operation,) = patch[0], json.loads(patch[1])
    assert operation["op"] == "replace"
    *way, last = operation["path"].strip("/").split("/")
    place: Any = of_kind(example, "Deployment")[name]
    for step in way:
        place = place[int(step)] if step.isdecimal() else place[step]
    assert place[last][:2] == ["pushprune", "worker"]
    assert {"key": "redis_url", "path": "redis_url"} in pod(example, name)["volumes"][2]["secret"]["items"]


def test_the_alerts_are_made_a_rule_of_the_prometheus_operator_and_find_its_job(example: list[Manifest]) -> None:
    (lines,) = re.findall(r"^(\{ printf .*?\}) \| kubectl apply", page("kubernetes"), re.DOTALL | re.MULTILINE)
    made = subprocess.run(["sh", "-euc", lines], cwd=KUBERNETES, capture_output=True, text=True, check=True).stdout
    rule = yaml.safe_load(made)
    assert rule["spec"]["groups"][0]["rules"] == list(rules())
    label = of_kind(example, "ServiceMonitor")["pushprune"]["spec"]["jobLabel"]
    job = of_kind(example, "Service")["web"]["metadata"]["labels"][label]
    assert {name for alert in rules() for name in re.findall(r'job="(\w+)"', alert["expr"])} == {job}


def section(title: str) -> str:
    (text,) = re.findall(rf"\n## {title}\n(.*?)\n## ", page("kubernetes"), re.DOTALL)
    return str(text)


def test_the_lines_on_the_manuals_page_add_a_secret_to_the_pods_that_read_it(tmp_path: Path) -> None:
    place = copy_with_secrets(tmp_path / "kubernetes")
    kustomization = yaml.safe_load((place / "example/kustomization.yaml").read_text())
    (block,) = re.findall(r"```yaml\n(.*?)```", section("More secrets"), re.DOTALL)
    kustomization["patches"] += yaml.safe_load(block)["patches"]
    kustomization["secretGenerator"][0]["files"].append("secrets/chat_url")
    (place / "example/kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    (place / "example/secrets/chat_url").write_text("https://chat.example.com/x")
    built = build(place / "example")
    assert "chat_url" in of_kind(built, "Secret")["pushprune"]["data"]
    item = {"key": "chat_url", "path": "chat_url"}
    assert {name for name in PODS for volume in pod(built, name)["volumes"]
            if item in volume.get("secret", {}).get("items", ())} == {"worker", "gc-worker"}  # fmt: skip


def test_the_manuals_page_has_every_setting_that_names_a_secret_file() -> None:
    files = {
        f"{name}.{key}" for name, field in Settings.model_fields.items() if isinstance(field.annotation, type)
        for key in getattr(field.annotation, "model_fields", ()) if key.endswith("_file") or key == "docker_config"
    }  # fmt: skip
    named = set(re.findall(r"`(\w+\.\w+)`", section("More secrets")))
    assert files - named == {f"tokens.{token}_file" for token in ("notify", "read", "admin")}


@pytest.fixture
def wiring(make_wiring: MakeWiring, example: list[Manifest], folder: Path) -> Wiring:
    """The web process of the example, over the Redis of the tests."""
    settings = settings_of(example, "web", folder)
    tokens = {name: (folder / f"example/secrets/{name}_token").read_text() for name in ("notify", "read", "admin")}
    return make_wiring("http://127.0.0.1:1", tokens=tokens, listen=settings.listen)


# An address of a pod, as the kubelet and nginx name it.
POD = {"base_url": "http://10.1.2.3:8080", "environ_overrides": {"REMOTE_ADDR": "10.1.0.1"}}


def test_the_probes_of_the_web_process_and_the_gate_process_are_routes(wiring: Wiring, example: list[Manifest]) -> None:
    applications = {"web": create_app(wiring), "gatekeeper": create_gate(wiring)}
    for name, application in applications.items():
        main = container(example, name)
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            assert application.test_client().get(main[probe]["httpGet"]["path"], **POD).status_code == 200
            assert main[probe]["httpGet"]["port"] in ports(example, name)
    assert container(example, "web")["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert container(example, "gatekeeper")["readinessProbe"]["httpGet"]["path"] == "/livez"


def test_prometheus_scrapes_the_web_process_with_the_read_token(
    wiring: Wiring, example: list[Manifest], folder: Path
) -> None:
    (monitor,) = of_kind(example, "ServiceMonitor").values()
    (endpoint,) = monitor["spec"]["endpoints"]
    service = of_kind(example, "Service")["web"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    credentials = endpoint["authorization"]["credentials"]
    assert credentials["key"] in of_kind(example, "Secret")[credentials["name"]]["data"]
    token = (folder / "example/secrets" / credentials["key"]).read_text()
    headers = {"Authorization": f"{endpoint['authorization']['type']} {token}"}
    client = create_app(wiring).test_client()
    assert client.get(endpoint["path"], headers=headers, **POD).status_code == 200
    assert client.get(endpoint["path"], **POD).status_code == 401


def test_services_and_budgets_select_pods_and_name_their_ports(example: list[Manifest]) -> None:
    pods = {name: of_kind(example, "Deployment", "StatefulSet")[name]["spec"]["template"] for name in PODS}
    for service in of_kind(example, "Service").values():
        (name,) = selected(service["spec"]["selector"], pods)
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports(example, name).keys()
    budgets = of_kind(example, "PodDisruptionBudget").values()
    protected = {name for budget in budgets for name in selected(budget["spec"]["selector"]["matchLabels"], pods)}
    several = {name for name, manifest in of_kind(example, "Deployment").items() if manifest["spec"]["replicas"] > 1}
    assert protected == several, "a budget of a single pod would stop the drain of its node"


def selected(labels: dict[str, str], pods: dict[str, Manifest]) -> list[str]:
    return [name for name, template in pods.items() if labels.items() <= template["metadata"]["labels"].items()]


def test_every_registry_is_asked_for_its_writes_those_that_end_too(example: list[Manifest]) -> None:
    spec = of_kind(example, "Service")["registry-debug"]["spec"]
    assert spec["clusterIP"] == "None"
    assert spec["publishNotReadyAddresses"] is True


# from, to, port. "ingress-nginx" and "monitoring" are namespaces, "outside" is any other pod or address.
NEEDED = {
    *((name, "redis", 6379) for name in OURS),
    *((name, "registry", port) for name in ("web", "worker", "gc-worker") for port in (5000, 5001)),
    *((name, "outside", 443) for name in ("web", "worker", "gc-worker", "registry")),
    ("registry", "web", 8080), ("ingress-nginx", "web", 8080), ("monitoring", "web", 8080),
    ("gate", "gatekeeper", 8081), ("gate", "registry", 5000),
    ("outside", "gate", 5000), ("ingress-nginx", "gate", 5000), ("monitoring", "gate", 5000),
    ("web", "gate", 5000),
}  # fmt: skip


def test_the_network_lets_through_what_the_parts_need_and_nothing_else(example: list[Manifest]) -> None:
    policies = list(of_kind(example, "NetworkPolicy").values())
    everywhere = (*PODS, "ingress-nginx", "monitoring", "outside")
    listening = {port for name in PODS for port in ports(example, name).values()} | {443}
    assert {
        (source, target, port)
        for source in everywhere
        for target in everywhere
        for port in listening
        if (source in PODS or target in PODS) and source != target
        if allowed(policies, "egress", source, target, port) and allowed(policies, "ingress", target, source, port)
    } == NEEDED


def allowed(policies: list[Manifest], direction: str, name: str, peer: str, port: int) -> bool:
    """True if the policies of a pod let a connection pass; nothing limits what is not in our namespace."""
    rules = [
        rule
        for policy in policies
        if policy["spec"]["podSelector"].get("matchLabels", {}).get("app.kubernetes.io/name", name) == name
        for rule in policy["spec"].get(direction, [])
    ]
    peers = "from" if direction == "ingress" else "to"
    return name not in PODS or any(
        port in {each["port"] for each in rule["ports"]}
        and (peers not in rule or any(is_peer(each, peer) for each in rule[peers]))
        for rule in rules
    )


def is_peer(selector: Manifest, name: str) -> bool:
    """True if a peer of a policy stands for a pod, a namespace or the outside; a range of addresses is outside."""
    if "ipBlock" in selector:
        return name == "outside"
    if "namespaceSelector" in selector:
        return bool(selector["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] == name)
    return any(name in each["values"] for each in selector["podSelector"]["matchExpressions"])


def test_every_pod_may_ask_for_names_and_is_closed_otherwise(example: list[Manifest]) -> None:
    spec = of_kind(example, "NetworkPolicy")["default-deny"]["spec"]
    assert spec["podSelector"] == {}
    assert set(spec["policyTypes"]) == {"Ingress", "Egress"}
    (rule,) = spec["egress"]
    assert {port["port"] for port in rule["ports"]} == {53}


def test_nginx_has_the_same_configuration_as_elsewhere(example: list[Manifest]) -> None:
    copy = KUBERNETES / "base/nginx.conf"
    assert copy.read_text() == NGINX.read_text(), f"run `cp {NGINX} {copy}`"
    services = of_kind(example, "Service")
    for name in ("gatekeeper", "registry"):
        assert f"server {name}:{services[name]['spec']['ports'][0]['port']};" in copy.read_text()
    mounted = {mount["mountPath"] for mount in container(example, "gate")["volumeMounts"]}
    assert mounted == {"/tmp", "/etc/nginx/nginx.conf", "/etc/nginx/gate.d"}
    assert "include /etc/nginx/gate.d/*.conf;" in copy.read_text()


def test_the_registry_reports_to_us_from_the_bucket_that_we_look_into(example: list[Manifest], folder: Path) -> None:
    config = yaml.safe_load((KUBERNETES / "example/registry.yml").read_text())
    assert config["storage"]["delete"] == {"enabled": True}
    assert "cache" not in config["storage"]
    assert config["notifications"]["events"] == {"includereferences": True}
    (endpoint,) = config["notifications"]["endpoints"]
    assert (
        endpoint["url"] == f"http://web:{of_kind(example, 'Service')['web']['spec']['ports'][0]['port']}/notifications"
    )
    assert config["log"]["level"] == "warn"
    assert config["http"]["relativeurls"] is True, "behind the TLS of the ingress"
    storage, bucket = settings_of(example, "gc-worker", folder).storage, config["storage"]["s3"]
    assert (storage.url, storage.region) == (f"s3://{bucket['bucket']}", bucket["region"])
    assert storage.access_key == bucket["accesskey"]


def test_clients_come_through_the_gate(example: list[Manifest]) -> None:
    def backends(name: str) -> Iterator[tuple[str, str]]:
        for rule in of_kind(example, "Ingress")[name]["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                yield path["path"], path["backend"]["service"]["name"]

    assert list(backends("registry")) == [("/v2/", "gate")]
    assert list(backends("dashboard")) == [("/", "web")]
