"""Proxies that the environment names: for each scheme, with a login, over TLS, and not for what NO_PROXY excludes."""

import base64
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from service.domain.errors import RegistryUnavailable
from service.registry.client import RegistryClient
from tests.fakes.certificates import Certificates, make_certificates
from tests.fakes.registry import FakeRegistry

LOGIN = base64.b64encode(b"user:pass word").decode()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture(autouse=True)
def _no_other_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for scheme in ("http", "https", "all", "no"):
        monkeypatch.delenv(f"{scheme}_proxy", raising=False)
        monkeypatch.delenv(f"{scheme.upper()}_PROXY", raising=False)


@contextmanager
def proxy(context: ssl.SSLContext | None = None) -> Iterator[tuple[str, list[str]]]:
    """A proxy on 127.0.0.1 that leads to any server, and the heads of the requests to it."""
    heads: list[str] = []

    def pump(source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65_536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            target.close()

    def lead(client: socket.socket) -> None:
        data = client.recv(65_536)
        head = data.decode("latin-1")
        heads.append(head)
        method, target, _ = head.split(" ", 2)
        host, _, port = target.removeprefix("http://").partition("/")[0].rpartition(":")
        server = socket.create_connection((host, int(port)))
        if method == "CONNECT":
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            server.sendall(data.replace(f"http://{host}:{port}".encode(), b"", 1))
        threading.Thread(target=pump, args=(client, server), daemon=True).start()
        pump(server, client)

    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    client = listening.accept()[0]
                    client = context.wrap_socket(client, server_side=True) if context else client
                except OSError:
                    return
                threading.Thread(target=lead, args=(client,), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{listening.getsockname()[1]}", heads
        listening.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "ALL_PROXY"])
def test_a_registry_without_tls_is_asked_through_the_proxy(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeRegistry() as fake, proxy() as (address, heads):
        # The name of a proxy may lack its scheme.
        monkeypatch.setenv(variable, address)
        client = RegistryClient(fake.url)
        monkeypatch.delenv(variable)
        client.ping()
        assert client.tags("shop/api") == ()
        assert heads[0].startswith(f"GET {fake.url}/v2/ HTTP/1.1\r\nHost: {fake.host}\r\n")
        assert "Proxy-Authorization" not in heads[0]
        assert len(heads) == fake.connections == 1


def test_the_proxy_gets_its_login_and_the_registry_does_not_over_tls(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeRegistry(tls=certificates.server) as fake, proxy() as (address, heads):
        monkeypatch.setenv("https_proxy", f"http://user:pass%20word@{address}")
        client = RegistryClient(fake.url, ca_file=certificates.authority)
        client.ping()
        client.tags("shop/api")
        assert heads == [f"CONNECT {fake.host} HTTP/1.0\r\nproxy-authorization: Basic {LOGIN}\r\n\r\n"]
        assert all("Proxy-Authorization" not in request.headers for request in fake.requests)


def test_a_tunnel_is_dug_again_for_a_new_connection(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeRegistry(tls=certificates.server) as fake, proxy() as (address, heads):
        monkeypatch.setenv("https_proxy", address)
        client = RegistryClient(fake.url, ca_file=certificates.authority, parallel=1)
        client.ping()
        fake.drop_connection("GET")
        client.ping()
        assert [head.partition(" ")[0] for head in heads] == ["CONNECT"] * 2


@pytest.mark.parametrize("is_tls", [True, False], ids=["https", "http"])
def test_a_proxy_may_speak_tls_itself(
    is_tls: bool, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificates.server)
    with FakeRegistry(tls=certificates.server if is_tls else None) as fake, proxy(context) as (address, heads):
        monkeypatch.setenv("all_proxy", f"https://{address}")
        RegistryClient(fake.url, ca_file=certificates.authority).ping()
        assert len(heads) == 1


@pytest.mark.parametrize("excluded", ["registry.example.com,127.0.0.1", "127.0.0.0/8", "*"])
def test_a_registry_that_the_environment_excludes_is_asked_directly(
    excluded: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeRegistry() as fake:
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
        monkeypatch.setenv("no_proxy", excluded)
        RegistryClient(fake.url).ping()
        assert len(fake.requests) == 1


@pytest.mark.parametrize("address", ["http://127.0.0.1:1", "http://127.0.0.1:none"])
def test_a_proxy_that_is_of_no_use_is_a_registry_that_cannot_be_reached(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeRegistry() as fake:
        monkeypatch.setenv("http_proxy", address)
        with pytest.raises(RegistryUnavailable, match="cannot be reached"):
            RegistryClient(fake.url).ping()
        assert fake.requests == []


@pytest.mark.parametrize("address", ["socks5://user:secret@127.0.0.1:1", "http://user:secret@127.0.0.1:none"])
def test_the_error_of_a_proxy_of_another_kind_says_so_without_its_password(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", address)
    with pytest.raises(RegistryUnavailable, match="must be http://HOST:PORT or https://HOST:PORT") as raised:
        RegistryClient("http://registry.example.com").ping()
    assert "secret" not in str(raised.value)


def test_the_refusal_of_a_proxy_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def refuse() -> None:
            with listening.accept()[0] as client:
                client.recv(65_536)
                client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")

        threading.Thread(target=refuse, daemon=True).start()
        monkeypatch.setenv("https_proxy", f"127.0.0.1:{listening.getsockname()[1]}")
        with pytest.raises(RegistryUnavailable, match="407 Proxy Authentication Required"):
            RegistryClient("https://registry.example.com").ping()
