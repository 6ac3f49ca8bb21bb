"""Logging in: Basic and Bearer for real, against a fake that checks scopes and expiry; Docker's config.json."""

import base64
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from service.domain.errors import AccessDenied, ConfigurationError, RegistryUnavailable
from service.registry.auth import RegistryAuth, build_auth
from service.registry.client import RegistryClient
from service.registry.docker_config import Credentials
from service.registry.exchange import USER_AGENT, Answer, Request, agent_with
from service.registry.session import HttpSession
from service.registry.tokens import Challenge, Token, TokenCache
from tests.fakes.certificates import make_certificates
from tests.fakes.registry import FakeRegistry, Login

SECRET = Login().password
RIGHT = Credentials(Login().username, SECRET)
UNKNOWN = "sha256:" + "0" * 64


class Clock:
    """Seconds that pass when the test says so."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def basic() -> Iterator[FakeRegistry]:
    with FakeRegistry(login=Login()) as fake:
        fake.push_image("shop/api", "v1")
        yield fake


@pytest.fixture
def bearer() -> Iterator[FakeRegistry]:
    with FakeRegistry(login=Login(scheme="token")) as fake:
        fake.push_image("shop/api", "v1")
        fake.push_image("shop/web", "v1")
        yield fake


def client_for(fake: FakeRegistry, login: Credentials | None = RIGHT, **mode: Any) -> RegistryClient:
    return RegistryClient(fake.url, auth=RegistryAuth(fake.url, lambda: login, **mode), timeout_s=60)


def statuses(fake: FakeRegistry) -> list[int]:
    return [request.status for request in fake.requests]


class TestBasic:
    def test_the_login_is_asked_for_once_and_then_sent_with_each_request(self, basic: FakeRegistry) -> None:
        client = client_for(basic)
        for _ in range(3):
            assert client.tags("shop/api") == ("v1",)
        assert statuses(basic) == [401, 200, 200, 200]

    def test_a_refused_login_is_not_tried_again_and_again(self, basic: FakeRegistry) -> None:
        client = client_for(basic, Credentials("pruner", "wrong-Password"))
        for _ in range(2):
            with pytest.raises(AccessDenied) as denied:
                client.ping()
            assert "wrong-Password" not in str(denied.value)
        assert statuses(basic) == [401, 401, 401]

    def test_a_new_password_is_taken_up(self, basic: FakeRegistry) -> None:
        logins = iter([Credentials("pruner", "old"), RIGHT])
        client = RegistryClient(basic.url, auth=RegistryAuth(basic.url, lambda: next(logins)))
        with pytest.raises(AccessDenied):
            client.ping()
        client.ping()

    def test_a_manifest_is_sent_again_after_logging_in(self, basic: FakeRegistry) -> None:
        stored = next(iter(basic.manifests("shop/api").values()))
        client_for(basic).put("shop/api", "v2", stored.media_type, stored.content)
        assert basic.tags("shop/api") == {"v1": stored.digest, "v2": stored.digest}

    def test_without_a_login_the_registry_refuses_access(self, basic: FakeRegistry) -> None:
        with pytest.raises(AccessDenied):
            client_for(basic, None).ping()
        assert statuses(basic) == [401]

    def test_another_host_never_sees_it(self, basic: FakeRegistry) -> None:
        client = client_for(basic)
        client.ping()
        with FakeRegistry(login=Login()) as elsewhere:
            basic.fail_next("GET", status=307, headers={"Location": f"{elsewhere.url}/v2/"})
            with pytest.raises(AccessDenied):
                client.ping()
            assert statuses(elsewhere) == [401]
            assert "Authorization" not in elsewhere.requests[0].headers

    def test_a_session_that_visits_another_host_does_not_show_it_there(self, basic: FakeRegistry) -> None:
        auth, session = RegistryAuth(basic.url, lambda: RIGHT), HttpSession(basic.url)

        def status(url: str) -> int:
            return auth.send(Request("GET", f"{url}/v2/"), lambda request: session.send(request, timeout_s=60)).status

        assert status(basic.url) == 200
        with FakeRegistry(login=Login()) as elsewhere:
            assert status(elsewhere.url) == 401
            assert "Authorization" not in elsewhere.requests[0].headers


class TestToken:
    def test_a_token_serves_all_requests_of_its_scope(self, bearer: FakeRegistry) -> None:
        client = client_for(bearer)
        for _ in range(3):
            client.tags("shop/api")
            client.get("shop/api", "v1")
        client.head("shop/api", "v1")
        assert bearer.count(path_part="/token") == 1
        assert statuses(bearer).count(401) == 1

    def test_each_scope_has_its_own(self, bearer: FakeRegistry) -> None:
        client = client_for(bearer)
        client.ping()
        client.tags("shop/api")
        client.tags("shop/web")
        client.delete("shop/api", bearer.tags("shop/api")["v1"])
        list(client.repositories())
        asked = [request.path for request in bearer.requests if request.path.startswith("/token")]
        scopes = ["", "shop%2Fapi%3Apull", "shop%2Fweb%3Apull", "shop%2Fapi%3Adelete", "registry%3Acatalog%3A%2A"]
        assert len(asked) == len(scopes)
        assert all(scope in path for scope, path in zip(scopes, asked, strict=True))
        assert all("service=fake-registry" in path for path in asked)
        client.tags("shop/api")
        assert statuses(bearer).count(401) == len(scopes)  # each kind of request goes on with its own

    def test_a_token_is_renewed_before_it_expires_without_another_refusal(self, bearer: FakeRegistry) -> None:
        clock = Clock()
        client = client_for(bearer, clock=clock)
        client.tags("shop/api")
        clock.now += 49
        client.tags("shop/api")
        assert bearer.count(path_part="/token") == 1
        clock.now += 2
        client.tags("shop/api")
        assert bearer.count(path_part="/token") == 2
        assert statuses(bearer).count(401) == 1

    @pytest.mark.parametrize("life_s", ["9" * 400, "Infinity"])
    def test_a_token_without_an_end_is_used_for_a_day(self, life_s: str) -> None:
        clock, fetched = Clock(), []

        class TokenServer:
            def send(self, request: Request, *, timeout_s: float, most_bytes: int | None = None) -> Answer:
                fetched.append(request)
                return Answer(request, 200, {}, f'{{"token": "t", "expires_in": {life_s}}}'.encode())

        tokens, challenge = TokenCache(TokenServer(), lambda: None, 1.0, clock), Challenge("http://tokens/", "", "")
        for _ in range(2):
            assert tokens.header(challenge) == "Bearer t"
        assert len(fetched) == 1
        clock.now += 24 * 3600
        tokens.header(challenge)
        assert len(fetched) == 2

    def test_a_token_that_is_refused_early_is_replaced(self, bearer: FakeRegistry) -> None:
        client = client_for(bearer)
        client.tags("shop/api")
        assert bearer.login is not None
        bearer.login.expire_tokens()
        assert client.tags("shop/api") == ("v1",)
        assert bearer.count(path_part="/token") == 2

    def test_threads_that_need_it_at_once_fetch_it_once(self, bearer: FakeRegistry) -> None:
        """All eight requests have come in before the first is answered."""
        together = threading.Barrier(8)
        bearer.before("GET", "/manifests/", lambda: together.wait(240), times=8)
        client = RegistryClient(bearer.url, auth=RegistryAuth(bearer.url, lambda: RIGHT), parallel=8)
        with ThreadPoolExecutor(8) as pool:
            result = list(pool.map(lambda _: client.get("shop/api", "v1"), range(8)))
        assert all(result)
        assert statuses(bearer).count(401) == 8
        assert bearer.count(path_part="/token") == 1

    def test_a_right_that_is_not_granted_is_access_denied(self, bearer: FakeRegistry) -> None:
        assert bearer.login is not None
        bearer.login.denied = frozenset({"delete"})
        client = client_for(bearer)
        assert client.tags("shop/api") == ("v1",)
        with pytest.raises(AccessDenied, match="DELETE"):
            client.delete("shop/api", UNKNOWN)
        assert bearer.count(method="DELETE") == 2

    def test_a_refused_login_says_who_refused_and_frees_its_connection(self, bearer: FakeRegistry) -> None:
        auth = RegistryAuth(bearer.url, lambda: Credentials("pruner", "wrong-Password"))
        client = RegistryClient(bearer.url, auth=auth, parallel=1)
        for _ in range(3):
            with pytest.raises(AccessDenied, match="the token server at") as denied:
                client.tags("shop/api")
            assert "wrong-Password" not in str(denied.value)

    def test_a_token_server_that_is_away_is_waited_for(self, bearer: FakeRegistry) -> None:
        client = client_for(bearer)
        bearer.fail_next("GET", "/token", status=503, headers={"Retry-After": "3"})
        with pytest.raises(RegistryUnavailable) as unavailable:
            client.tags("shop/api")
        assert unavailable.value.retry_after_s == 3
        assert client.tags("shop/api") == ("v1",)

    def test_a_token_server_that_moved_is_found(self, bearer: FakeRegistry) -> None:
        clock = Clock()
        client = client_for(bearer, clock=clock)
        client.tags("shop/api")
        clock.now += 100
        bearer.fail_next("GET", "/token", status=502)
        with pytest.raises(RegistryUnavailable):
            client.tags("shop/api")
        assert client.tags("shop/api") == ("v1",)
        assert statuses(bearer).count(401) == 2  # asked again where tokens are had

    @pytest.mark.parametrize("body", [b"", b"[]", b'{"token": ""}', b'{"token": 7}', b'{"token": "a\\r\\nX: y"}'])
    def test_an_answer_without_a_token_is_access_denied(self, bearer: FakeRegistry, body: bytes) -> None:
        bearer.fail_next("GET", "/token", status=200, body=body)
        with pytest.raises(AccessDenied, match="without a token"):
            client_for(bearer).tags("shop/api")

    @pytest.mark.parametrize(
        "challenge",
        ["Bearer", 'Bearer realm="token"', 'Bearer realm="http://"', 'Bearer realm="http://[r"', "Negotiate", ""],
    )
    def test_a_challenge_that_leads_nowhere_is_access_denied(self, bearer: FakeRegistry, challenge: str) -> None:
        bearer.fail_next("GET", status=401, headers={"WWW-Authenticate": challenge})
        with pytest.raises(AccessDenied):
            client_for(bearer).ping()

    def test_a_redirect_of_the_token_server_is_not_followed(self, bearer: FakeRegistry) -> None:
        with FakeRegistry() as elsewhere:
            bearer.fail_next("GET", "/token", status=302, headers={"Location": elsewhere.url})
            with pytest.raises(Exception, match="redirect"):
                client_for(bearer).tags("shop/api")
            assert elsewhere.requests == []

    def test_a_password_for_a_registry_with_tls_is_not_sent_to_a_token_server_without(self, tmp_path: Path) -> None:
        made = make_certificates(tmp_path)
        with FakeRegistry() as plain, FakeRegistry(tls=made.server, login=Login(scheme="token")) as fake:
            assert fake.login is not None
            auth = RegistryAuth(fake.url, lambda: RIGHT, ca_file=made.authority)
            client = RegistryClient(fake.url, auth=auth, ca_file=made.authority)
            client.ping()
            fake.login.realm = f"{plain.url}/token"
            with pytest.raises(AccessDenied, match="without TLS"):
                client.tags("shop/api")
            assert plain.requests == []


class TestBuilding:
    def test_without_configuration_there_is_no_login(self) -> None:
        assert build_auth("http://registry", username=None, password=None, docker_config=None) is None

    def test_nothing_secret_is_printed(self) -> None:
        auth = build_auth("http://registry", username="pruner", password=SECRET, docker_config=None)
        assert SECRET not in repr(auth)
        assert SECRET not in repr(Credentials("pruner", SECRET, SECRET))
        assert SECRET not in repr(Token(SECRET, 0.0))


class TestDockerConfig:
    """Each test writes a config.json for the fake's host and logs in with what is found there."""

    @pytest.fixture(autouse=True)
    def _place(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.directory = tmp_path
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    def write(self, **config: Any) -> None:
        (self.directory / "config.json").write_text(json.dumps(config))

    def helper(self, name: str, script: str) -> None:
        """A docker-credential-<name> that notes what it was asked for."""
        path = self.directory / f"docker-credential-{name}"
        path.write_text(f'#!/bin/sh\necho "$1 $(cat)" >> "{self.directory}/asked"\n{script}\n')
        path.chmod(0o755)

    def client(self, fake: FakeRegistry) -> RegistryClient:
        auth = build_auth(fake.url, username=None, password=None, docker_config=self.directory)
        return RegistryClient(fake.url, auth=auth)

    @pytest.mark.parametrize("key", ["{host}", "http://{host}", "https://{host}/v1/"])
    def test_the_login_of_auths_is_used(self, basic: FakeRegistry, key: str) -> None:
        self.write(auths={"other:5000": entry("a", "b"), key.format(host=basic.host): entry("pruner", SECRET)})
        self.client(basic).ping()

    def test_an_identity_token_buys_a_token(self) -> None:
        with FakeRegistry(login=Login(scheme="token", identity_token="identity")) as fake:
            self.write(auths={fake.host: {"identitytoken": "identity"}})
            self.client(fake).ping()
            assert fake.count(method="POST", path_part="/token") == 1

    def test_a_helper_for_this_host_comes_first(self, basic: FakeRegistry) -> None:
        self.helper("mine", f"""printf '{{"ServerURL":"x","Username":"pruner","Secret":"{SECRET}"}}'""")
        self.write(
            credHelpers={basic.host: "mine"}, credsStore="missing", auths={basic.host: entry("pruner", "outdated")}
        )
        self.client(basic).ping()
        assert (self.directory / "asked").read_text() == f"get {basic.host}\n"

    def test_the_store_that_knows_nothing_leaves_it_to_auths(self, basic: FakeRegistry) -> None:
        self.helper("store", "echo credentials not found in native keychain; exit 1")
        self.write(credsStore="store", auths={basic.host: entry("pruner", SECRET)})
        self.client(basic).ping()

    def test_a_helper_may_hand_out_an_identity_token(self) -> None:
        self.helper("mine", """printf '{"Username":"<token>","Secret":"identity"}'""")
        with FakeRegistry(login=Login(scheme="token", identity_token="identity")) as fake:
            self.write(credHelpers={fake.host: "mine"})
            self.client(fake).ping()

    @pytest.mark.parametrize("script", ["echo hunter2; exit 3", "echo hunter2", 'echo \'{"Secret": "hunter2"}\''])
    def test_a_helper_that_fails_is_access_denied_and_not_quoted(self, basic: FakeRegistry, script: str) -> None:
        self.helper("mine", script)
        self.write(credHelpers={basic.host: "mine"})
        with pytest.raises(AccessDenied, match="docker-credential-mine") as denied:
            self.client(basic).ping()
        assert "hunter2" not in str(denied.value)

    def test_a_helper_that_is_missing_is_access_denied(self, basic: FakeRegistry) -> None:
        self.write(credHelpers={basic.host: "no-such"})
        with pytest.raises(AccessDenied, match="docker-credential-no-such"):
            self.client(basic).ping()

    def test_a_host_without_an_entry_stays_outside(self, basic: FakeRegistry) -> None:
        self.write(auths={"other:5000": entry("pruner", SECRET)})
        with pytest.raises(AccessDenied):
            self.client(basic).ping()
        assert statuses(basic) == [401]

    @pytest.mark.parametrize("content", ["", "[]", "{", "[" * 100_000])
    def test_a_file_that_is_no_config_is_refused_at_the_start(self, content: str) -> None:
        (self.directory / "config.json").write_text(content)
        with pytest.raises(ConfigurationError, match=r"registry\.docker_config"):
            build_auth("http://registry", username=None, password=None, docker_config=self.directory / "config.json")

    def test_a_file_that_is_not_there_is_refused_at_the_start(self) -> None:
        with pytest.raises(ConfigurationError, match="cannot be read"):
            build_auth("http://registry", username=None, password=None, docker_config=self.directory / "nowhere.json")

    @pytest.mark.parametrize("auth", ["%%%", "bm9jb2xvbg==", 7, "/w=="])
    def test_an_auth_that_is_no_login_is_one_sentence(self, basic: FakeRegistry, auth: object) -> None:
        self.write(auths={basic.host: {"auth": auth}})
        with pytest.raises(ConfigurationError, match="not base64 of user:password"):
            self.client(basic).ping()


def entry(username: str, password: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{username}:{password}".encode()).decode()}


class TestTokenServer:
    """`registry.token_server`: the login is sent to this server only."""

    def test_the_one_that_is_named_gets_the_login(self, bearer: FakeRegistry) -> None:
        client = client_for(bearer, token_server=f"{bearer.url}/token")
        assert client.tags("shop/api") == ("v1",)

    def test_no_other_one_gets_the_login(self, bearer: FakeRegistry) -> None:
        with FakeRegistry(login=Login(scheme="token")) as elsewhere:
            assert bearer.login
            bearer.login.realm = f"{elsewhere.url}/token"
            client = client_for(bearer, token_server=bearer.url)
            with pytest.raises(AccessDenied, match=r"registry\.token_server"):
                client.tags("shop/api")
            assert elsewhere.requests == []

    def test_neither_does_a_registry_that_asks_for_the_password_itself(self, basic: FakeRegistry) -> None:
        client = client_for(basic, token_server="https://auth.example.com")
        with pytest.raises(AccessDenied):
            client.tags("shop/api")
        assert all("Authorization" not in request.headers for request in basic.requests)

    def test_the_token_server_never_gets_the_word_that_our_writes_carry(self, bearer: FakeRegistry) -> None:
        auth = RegistryAuth(bearer.url, lambda: RIGHT)
        RegistryClient(bearer.url, auth=auth, word=lambda: "w0rd").delete("shop/api", UNKNOWN)
        messages = [request.user_agent for request in bearer.requests if request.path.startswith("/token")]
        sent = [request.user_agent for request in bearer.requests if request.method == "DELETE"]
        assert set(messages) == {USER_AGENT}
        assert set(sent) == {agent_with("w0rd")}
