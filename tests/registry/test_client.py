"""The client against a registry that misbehaves: every failure becomes one error of the tree, and nothing else."""

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from service.domain.errors import (
    AccessDenied,
    ConfigurationError,
    DeletesDisabled,
    RegistryRefused,
    RegistryUnavailable,
    StoreUnavailable,
)
from service.domain.oci.manifest import OCI_MANIFEST
from service.registry.client import RegistryClient
from service.registry.exchange import USER_AGENT
from tests.fakes.certificates import Certificates, make_certificates
from tests.fakes.registry import FakeRegistry

DIGEST = "sha256:" + "0" * 64
Call = Callable[[RegistryClient], object]

EVERY_CALL: dict[str, Call] = {
    "ping": lambda client: client.ping(),
    "tags": lambda client: client.tags("shop/api"),
    "head": lambda client: client.head("shop/api", "v1"),
    "get": lambda client: client.get("shop/api", "v1"),
    "put": lambda client: client.put("shop/api", "v1", OCI_MANIFEST, b"{}"),
    "delete": lambda client: client.delete("shop/api", DIGEST),
    "repositories": lambda client: list(client.repositories()),
}
every_call = pytest.mark.parametrize("call", EVERY_CALL.values(), ids=EVERY_CALL.keys())


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    with FakeRegistry() as running:
        yield running


@pytest.fixture
def client(fake: FakeRegistry) -> RegistryClient:
    return RegistryClient(fake.url)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("tls"))


class TestRefusals:
    @every_call
    @pytest.mark.parametrize("status", [401, 403])
    def test_a_missing_right_names_the_setting_of_the_login(
        self, fake: FakeRegistry, client: RegistryClient, call: Call, status: int
    ) -> None:
        fake.fail_next("*", status=status)
        with pytest.raises(AccessDenied, match=r"registry\.username"):
            call(client)

    @every_call
    @pytest.mark.parametrize("status", [429, 502, 503, 504])
    def test_try_again_later(self, fake: FakeRegistry, client: RegistryClient, call: Call, status: int) -> None:
        fake.fail_next("*", status=status, headers={"Retry-After": "7"})
        with pytest.raises(RegistryUnavailable) as unavailable:
            call(client)
        assert unavailable.value.retry_after_s == 7
        assert len(fake.requests) == 1

    @every_call
    def test_a_registry_that_keeps_answering_500_is_not_available(
        self, fake: FakeRegistry, client: RegistryClient, call: Call
    ) -> None:
        fake.fail_next("*", status=500, times=None)
        with pytest.raises(RegistryUnavailable) as unavailable:
            call(client)
        assert unavailable.value.is_fault

    def test_a_look_is_repeated_that_met_a_link_while_a_push_was_writing_it(
        self, fake: FakeRegistry, client: RegistryClient
    ) -> None:
        digest = fake.push_image("shop/api", "v1")
        fake.fail_next("GET", status=500, times=2)
        fake.fail_next("HEAD", status=500, times=2)
        manifest, head = client.get("shop/api", "v1"), client.head("shop/api", "v1")
        assert (manifest and manifest.digest) == (head and head.digest) == digest

    def test_a_deletion_is_sent_once(self, fake: FakeRegistry, client: RegistryClient) -> None:
        fake.fail_next("DELETE", status=500)
        with pytest.raises(RegistryUnavailable):
            client.delete("shop/api", DIGEST)
        assert len(fake.requests) == 1

    def test_a_date_to_come_back_at_is_understood(self, fake: FakeRegistry, client: RegistryClient) -> None:
        in_an_hour = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
        fake.fail_next("GET", status=429, headers={"Retry-After": in_an_hour})
        with pytest.raises(RegistryUnavailable) as unavailable:
            client.ping()
        assert unavailable.value.retry_after_s is not None
        assert 0 < unavailable.value.retry_after_s <= 3600

    @pytest.mark.parametrize("nonsense", ["soon", "", "9" * 5000])
    def test_a_nonsense_retry_after_is_none_or_a_number(
        self, fake: FakeRegistry, client: RegistryClient, nonsense: str
    ) -> None:
        fake.fail_next("GET", status=503, headers={"Retry-After": nonsense})
        with pytest.raises(RegistryUnavailable):
            client.ping()

    @every_call
    def test_a_message_shows_no_text_that_a_registry_could_choose(
        self, fake: FakeRegistry, client: RegistryClient, call: Call
    ) -> None:
        """A code of an error may be any text: one that controls a terminal, or that is no UTF-8."""
        codes = b'{"errors": [{"code": "\\u001b[31m"}, {"code": "\\ud800"}, {"code": "a\\nb"}, {"code": "DENIED"}]}'
        for method in ("GET", "HEAD", "PUT", "DELETE"):
            fake.fail_next(method, status=400, body=codes, times=None)
        with pytest.raises((RegistryRefused, RegistryUnavailable)) as refused:
            call(client)
        message = str(refused.value)
        assert message.isascii()
        assert message.isprintable()

    def test_the_signature_of_a_redirect_is_in_no_message(self, fake: FakeRegistry, client: RegistryClient) -> None:
        """Registries redirect to a bucket by an address whose query is a right to read for a while."""
        with FakeRegistry() as bucket:
            bucket.fail_next("GET", status=403)
            address = f"{bucket.url}/\x1b[31m/data?X-Amz-Signature=secret"
            fake.fail_next("GET", status=307, headers={"Location": address})
            with pytest.raises(AccessDenied) as denied:
                client.blob("shop/api", DIGEST, 100)
        assert "GET /%1B%5B31m/data: check" in str(denied.value)

    def test_an_upload_that_continues_nowhere_is_an_error(self, fake: FakeRegistry, client: RegistryClient) -> None:
        for location in ("http://[", "//[::1", "/elsewhere"):
            fake.fail_next("POST", status=202, headers={"Location": location})
            with pytest.raises(RegistryUnavailable, match="Location"):
                client.upload("shop/api", DIGEST, b"")

    def test_a_405_names_disabled_deletes_or_a_read_only_registry(
        self, fake: FakeRegistry, client: RegistryClient
    ) -> None:
        fake.delete_enabled = False
        with pytest.raises(DeletesDisabled, match="REGISTRY_STORAGE_DELETE_ENABLED=true"):
            client.delete("shop/api", DIGEST)
        fake.readonly = True
        with pytest.raises(DeletesDisabled, match="read-only") as read_only:
            client.delete("shop/api", DIGEST)
        assert "DELETE_ENABLED" not in str(read_only.value)

    def test_a_write_follows_no_redirect(self, fake: FakeRegistry, client: RegistryClient) -> None:
        with FakeRegistry() as elsewhere:
            elsewhere.push_image("shop/api", "v1")
            digest = elsewhere.tags("shop/api")["v1"]
            where = f"{elsewhere.url}/v2/shop/api/manifests/{digest}"
            fake.fail_next("DELETE", status=307, headers={"Location": where})
            with pytest.raises(RegistryRefused, match="redirect"):
                client.delete("shop/api", digest)
            assert elsewhere.requests == []

    def test_a_read_follows_a_redirect_to_another_server(self, fake: FakeRegistry, client: RegistryClient) -> None:
        with FakeRegistry() as elsewhere:
            digest = elsewhere.push_image("shop/api", "v1")
            where = f"{elsewhere.url}/v2/shop/api/manifests/v1#part"
            for method in ("GET", "HEAD"):
                fake.fail_next(method, status=303, headers={"Location": where})
            manifest, head = client.get("shop/api", "v1"), client.head("shop/api", "v1")
            assert (manifest and manifest.digest) == (head and head.digest) == digest
            followed = [f"{request.method} {request.path}" for request in elsewhere.requests]
            assert followed == ["GET /v2/shop/api/manifests/v1", "HEAD /v2/shop/api/manifests/v1"]

    def test_a_read_does_not_follow_redirects_for_ever(self, fake: FakeRegistry, client: RegistryClient) -> None:
        def lead_on() -> None:
            fake.fail_next("GET", status=307, headers={"Location": f"?n={len(fake.requests)}"})

        fake.before("GET", "/v2/", lead_on, times=None)
        with pytest.raises(RegistryRefused, match="redirect"):
            client.ping()
        assert len(fake.requests) == 10

    @pytest.mark.parametrize("location", ["http://[", "//", "ftp://elsewhere/", "/v2/"])
    def test_a_read_that_is_sent_nowhere(self, fake: FakeRegistry, client: RegistryClient, location: str) -> None:
        fake.fail_next("GET", status=302, headers={"Location": location}, times=None)
        with pytest.raises((RegistryRefused, RegistryUnavailable)):
            client.ping()


class TestNoAnswer:
    @every_call
    def test_an_address_without_a_server_is_reported(self, call: Call) -> None:
        with socket.socket() as placeholder:
            placeholder.bind(("127.0.0.1", 0))
            client = RegistryClient(f"http://127.0.0.1:{placeholder.getsockname()[1]}")
            with pytest.raises(RegistryUnavailable, match="Connection refused"):
                call(client)

    @every_call
    def test_silence_is_waited_for_once(self, fake: FakeRegistry, call: Call) -> None:
        fake.delay("*", seconds=600, times=None)
        with pytest.raises(RegistryUnavailable, match=r"did not answer within 0\.05 s"):
            call(RegistryClient(fake.url, timeout_s=0.05, delete_timeout_s=0.05))
        assert fake.connections == 1

    def test_a_read_survives_one_closed_connection(self, fake: FakeRegistry, client: RegistryClient) -> None:
        fake.push_image("shop/api", "v1")
        client.ping()
        fake.drop_connection("GET")
        assert client.tags("shop/api") == ("v1",)
        assert fake.count(path_part="tags/list") == 2

    def test_a_read_does_not_survive_two(self, fake: FakeRegistry, client: RegistryClient) -> None:
        fake.drop_connection("GET", times=2)
        with pytest.raises(RegistryUnavailable):
            client.ping()

    def test_a_write_is_never_sent_twice(self, fake: FakeRegistry, client: RegistryClient) -> None:
        digest = fake.push_image("shop/api", "v1")
        fake.drop_connection("DELETE", handled=True)
        with pytest.raises(RegistryUnavailable):
            client.delete("shop/api", digest)
        assert fake.count(method="DELETE") == 1
        assert client.delete("shop/api", digest) is False


class TestNonsense:
    @pytest.mark.parametrize("name", ["tags", "repositories", "ping"])
    @pytest.mark.parametrize(
        "body",
        [b"<html>It works!</html>", b"", b"[]", b"null", b'"tags"', b"[" * 100_000, b"\xff\xfe", b"1" * 5000],
        ids=["html", "empty", "list", "null", "string", "deep", "bytes", "number"],
    )
    def test_an_answer_that_is_no_listing_is_refused(
        self, fake: FakeRegistry, client: RegistryClient, name: str, body: bytes
    ) -> None:
        fake.fail_next("GET", status=200, body=body)
        with pytest.raises(RegistryUnavailable):
            EVERY_CALL[name](client)

    @pytest.mark.parametrize(
        "body",
        [
            b"{}", b'{"tags": "v1"}', b'{"tags": [1]}', b'{"tags": {"v1": 1}}',
            b'{"tags": ["\\u001b[31m"]}', b'{"tags": ["\\ud800"]}',
        ],
    )  # fmt: skip
    def test_an_answer_that_is_no_list_of_tags_is_refused(
        self, fake: FakeRegistry, client: RegistryClient, body: bytes
    ) -> None:
        fake.fail_next("GET", status=200, body=body)
        with pytest.raises(RegistryUnavailable, match="without a list of tags"):
            client.tags("shop/api")

    @pytest.mark.parametrize("name", ["tags", "head", "get", "delete"])
    def test_a_proxys_404_is_not_the_registrys(self, fake: FakeRegistry, client: RegistryClient, name: str) -> None:
        """Taken for an answer of the registry, it would mean that nothing exists."""
        fake.fail_next("*", status=404, body=b"<h1>Not Found</h1>", headers={"Content-Type": "text/html"})
        with pytest.raises(RegistryUnavailable, match="not the answer of a registry"):
            EVERY_CALL[name](client)

    @pytest.mark.parametrize("headers", [{}, {"Docker-Content-Digest": "sha256:short"}])
    @pytest.mark.parametrize("name", ["head", "get"])
    def test_an_answer_that_names_no_digest_is_refused(
        self, fake: FakeRegistry, client: RegistryClient, name: str, headers: dict[str, str]
    ) -> None:
        fake.fail_next("*", status=200, headers=headers)
        with pytest.raises(RegistryUnavailable, match="named no digest"):
            EVERY_CALL[name](client)

    def test_bytes_that_are_not_what_the_digest_names(self, fake: FakeRegistry, client: RegistryClient) -> None:
        headers = {"Docker-Content-Digest": DIGEST, "Content-Type": OCI_MANIFEST}
        fake.fail_next("GET", status=200, headers=headers, body=b"{}")
        with pytest.raises(RegistryUnavailable, match="does not match"):
            client.get("shop/api", "v1")

    def test_a_manifest_with_another_digest_is_refused(self, fake: FakeRegistry, client: RegistryClient) -> None:
        digest = fake.push_image("shop/api", "v1")
        other = fake.manifests("shop/api")[digest]
        headers = {"Docker-Content-Digest": other.digest, "Content-Type": OCI_MANIFEST}
        fake.fail_next("GET", status=200, headers=headers, body=other.content)
        with pytest.raises(RegistryUnavailable, match="does not match"):
            client.get("shop/api", DIGEST)

    def test_a_put_that_stored_another_manifest_is_reported(self, fake: FakeRegistry, client: RegistryClient) -> None:
        fake.fail_next("PUT", status=201, headers={"Docker-Content-Digest": DIGEST})
        with pytest.raises(RegistryUnavailable, match="another manifest"):
            client.put("shop/api", "v1", OCI_MANIFEST, b"{}")


class TestPages:
    @pytest.fixture
    def fake(self) -> Iterator[FakeRegistry]:
        with FakeRegistry("3", page_size=2) as running:
            for number in range(5):
                running.push_image("shop/api", f"v{number}")
            yield running

    def test_all_are_followed(self, fake: FakeRegistry, client: RegistryClient) -> None:
        assert client.tags("shop/api") == ("v0", "v1", "v2", "v3", "v4")
        assert len(fake.requests) == 3

    def test_the_catalog_is_asked_for_a_thousand_at_a_time(self, fake: FakeRegistry, client: RegistryClient) -> None:
        for number in range(1001):
            fake.push_image(f"r{number:04}", None, seed="the same in each")
        assert len(list(client.repositories())) == 1002
        assert len(fake.requests) == 2

    @pytest.mark.parametrize("status", [502, 404])
    def test_half_a_listing_is_an_error(self, fake: FakeRegistry, client: RegistryClient, status: int) -> None:
        gone = b'{"errors":[{"code":"NAME_UNKNOWN","message":"repository name not known to registry"}]}'
        fake.fail_next("GET", "last=", status=status, body=gone)
        with pytest.raises((RegistryUnavailable, RegistryRefused)):
            client.tags("shop/api")

    def test_the_host_in_a_link_is_not_visited(self, fake: FakeRegistry, client: RegistryClient) -> None:
        with FakeRegistry() as elsewhere:
            link = f'<{elsewhere.url}/v2/shop/api/tags/list?last=v1&n=2>; rel="next"'
            fake.fail_next("GET", status=200, body=b'{"tags": ["v0", "v1"]}', headers={"Link": link})
            assert client.tags("shop/api") == ("v0", "v1", "v2", "v3", "v4")
            assert elsewhere.requests == []

    def test_a_catalog_that_refuses_our_size_of_page_is_read_in_its_own(self) -> None:
        with FakeRegistry(max_entries=7) as fake:
            names = [f"shop/r{number:02}" for number in range(20)]
            for name in names:
                fake.push_image(name, "v1")
            client = RegistryClient(fake.url)
            assert list(client.repositories()) == names
            assert list(client.repositories("shop/r04")) == names[5:]

    def test_a_registry_that_refuses_any_size_of_page_is_asked_twice_and_not_for_ever(
        self, fake: FakeRegistry, client: RegistryClient
    ) -> None:
        refusal = b'{"errors": [{"code": "PAGINATION_NUMBER_INVALID"}]}'
        fake.fail_next("GET", "_catalog", status=400, body=refusal, times=None)
        with pytest.raises(RegistryRefused, match="PAGINATION_NUMBER_INVALID"):
            list(client.repositories())
        assert len(fake.requests) == 2

    def test_a_listing_without_an_end_is_given_up(
        self, fake: FakeRegistry, client: RegistryClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def lead_on() -> None:
            headers = {"Link": f'</v2/shop/api/tags/list?last={len(fake.requests)}>; rel="next"'}
            fake.fail_next("GET", "tags/list", status=200, headers=headers, body=b'{"tags": ["v1"]}')

        fake.before("GET", "tags/list", lead_on, times=None)
        monkeypatch.setattr("service.registry.pages._MOST_PAGES", 50)
        with pytest.raises(RegistryUnavailable, match="more pages"):
            client.tags("shop/api")
        assert len(fake.requests) == 50
        monkeypatch.setattr("service.registry.pages._LISTING_BYTES", 160)
        with pytest.raises(RegistryUnavailable, match="more pages"):
            client.tags("shop/api")
        assert len(fake.requests) == 50 + 11

    def test_a_link_that_is_no_url_is_an_error(self, fake: FakeRegistry, client: RegistryClient) -> None:
        fake.fail_next("GET", status=200, body=b'{"tags": ["v0"]}', headers={"Link": '<http://[>; rel="next"'})
        with pytest.raises(RegistryUnavailable, match="the same page"):
            client.tags("shop/api")

    def test_a_listing_that_leads_back_to_itself_ends(self, fake: FakeRegistry, client: RegistryClient) -> None:
        link = '</v2/shop/api/tags/list?last=v0&n=1>; rel="next"'
        fake.fail_next("GET", status=200, body=b'{"tags": ["v0"]}', headers={"Link": link}, times=None)
        with pytest.raises(RegistryUnavailable, match="the same page"):
            client.tags("shop/api")


class TestConnections:
    def test_a_connection_serves_one_thread(self, fake: FakeRegistry, client: RegistryClient) -> None:
        for number in range(20):
            client.delete("shop/api", fake.push_image("shop/api", f"v{number}"))
        client.tags("shop/api")
        client.get("shop/api", "v1")
        assert len(fake.requests) == 22
        assert fake.connections == 1

    def test_a_client_opens_no_more_connections_than_parallel(self, fake: FakeRegistry) -> None:
        client = RegistryClient(fake.url, parallel=3)
        with ThreadPoolExecutor(12) as pool:
            list(pool.map(lambda _: client.ping(), range(60)))
        assert fake.connections <= 3

    def test_requests_have_our_name_and_no_password_from_netrc(
        self, fake: FakeRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "netrc").write_text("machine 127.0.0.1 login someone password else\n")
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        RegistryClient(fake.url).ping()
        assert fake.requests[0].user_agent.startswith("pushprune/")
        assert "Authorization" not in fake.requests[0].headers


class TestCertificates:
    def test_only_the_configured_authority_is_trusted(
        self, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nonexistent")
        with FakeRegistry(tls=certificates.server) as fake:
            RegistryClient(fake.url, ca_file=certificates.authority).ping()
            with pytest.raises(RegistryRefused, match=r"registry\.ca_file"):
                RegistryClient(fake.url).ping()
            assert len(fake.requests) == 1

    def test_a_replaced_ca_file_is_used_for_the_next_connection(
        self, certificates: Certificates, tmp_path: Path
    ) -> None:
        authority = make_certificates(tmp_path).authority
        with FakeRegistry(tls=certificates.server) as fake:
            client = RegistryClient(fake.url, ca_file=authority)
            with pytest.raises(RegistryRefused, match=r"registry\.ca_file"):
                client.ping()
            authority.write_bytes(certificates.authority.read_bytes())
            client.ping()

    def test_a_certificate_for_another_host_is_refused_with_that_reason(self, certificates: Certificates) -> None:
        with FakeRegistry(tls=certificates.server) as fake:
            url = fake.url.replace("127.0.0.1", "localhost")
            with pytest.raises(RegistryRefused, match=r"not valid for 'localhost'\.?\): use a host name that it has$"):
                RegistryClient(url, ca_file=certificates.authority).ping()

    def test_plain_http_where_tls_is_spoken(self, certificates: Certificates) -> None:
        with FakeRegistry(tls=certificates.server) as fake, pytest.raises(RegistryUnavailable):
            RegistryClient(fake.url.replace("https", "http")).ping()

    def test_tls_where_plain_http_is_spoken(self, fake: FakeRegistry) -> None:
        with pytest.raises(RegistryUnavailable):
            RegistryClient(fake.url.replace("http", "https")).ping()

    @pytest.mark.parametrize("content", [None, "not a certificate"])
    def test_a_useless_ca_file_is_refused_at_the_start(self, tmp_path: Path, content: str | None) -> None:
        if content is not None:
            (tmp_path / "ca.pem").write_text(content)
        with pytest.raises(ConfigurationError, match=r"registry\.ca_file"):
            RegistryClient("https://registry.example.com", ca_file=tmp_path / "ca.pem")


class TestNames:
    @pytest.mark.parametrize(
        "repository",
        ["", "..", "../shop", "shop/../api", "/shop", "Shop", "shop/api\n", "a{b}", "a*", "a?n=1", "a%2fb", "é"],
    )
    def test_no_repository_breaks_out_of_its_path(
        self, fake: FakeRegistry, client: RegistryClient, repository: str
    ) -> None:
        calls: list[Call] = [
            lambda client: client.tags(repository),
            lambda client: client.head(repository, "v1"),
            lambda client: client.get(repository, "v1"),
            lambda client: client.put(repository, "v1", OCI_MANIFEST, b"{}"),
            lambda client: client.delete(repository, DIGEST),
        ]
        for call in calls:
            with pytest.raises(ValueError, match="is not a repository name: use lowercase letters and digits"):
                call(client)
        assert fake.requests == []

    @pytest.mark.parametrize("reference", ["", "..", "v1/../v2", "v1\n", "-v1", "a" * 129, "sha256:zz", "v1?x"])
    def test_a_reference_that_is_neither_a_tag_nor_a_digest_is_refused(
        self, fake: FakeRegistry, client: RegistryClient, reference: str
    ) -> None:
        with pytest.raises(ValueError, match="neither a tag nor a digest"):
            client.get("shop/api", reference)
        with pytest.raises(ValueError, match="is not a digest"):
            client.delete("shop/api", reference)
        assert fake.requests == []

    def test_a_tag_is_never_deleted_by_name(self, fake: FakeRegistry, client: RegistryClient) -> None:
        with pytest.raises(ValueError, match="is not a digest"):
            client.delete("shop/api", "v1")
        assert fake.requests == []


class TestTheWord:
    def test_requests_that_change_something_carry_the_secret_word_and_others_do_not(self, fake: FakeRegistry) -> None:
        client = RegistryClient(fake.url, word=lambda: "w0rd")
        client.tags("shop/api")
        client.head("shop/api", "v1")
        client.takes_writes("shop/api")
        client.delete("shop/api", f"sha256:{'0' * 64}")
        agents = {request.method: request.user_agent for request in fake.requests}
        assert agents == {
            "GET": USER_AGENT, "HEAD": USER_AGENT,
            "PUT": f"{USER_AGENT} (w0rd)", "DELETE": f"{USER_AGENT} (w0rd)",
        }  # fmt: skip

    def test_the_secret_word_is_read_only_when_it_is_sent(self, fake: FakeRegistry) -> None:
        def away() -> str:
            raise StoreUnavailable("Redis does not answer")

        client = RegistryClient(fake.url, word=away)
        assert client.tags("shop/api") == ()
        with pytest.raises(StoreUnavailable):
            client.delete("shop/api", f"sha256:{'0' * 64}")
        assert [request.method for request in fake.requests] == ["GET"]
