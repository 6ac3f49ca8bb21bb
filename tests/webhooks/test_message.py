"""The messages of webhooks: CloudEvents, text for chats, signatures; and the page of the manual that shows them."""

import base64
import json
import re
import time
from typing import Any

import pytest

from service.domain.webhooks.event import EVENT_TYPES, WebhookEvent
from service.domain.webhooks.signature import signature, signing_key
from service.webhooks import compose, message
from service.webhooks.message import chat_message, cloudevent, name, sentence
from tests.support import manual, webhook_samples
from tests.support.webhook_samples import SOURCE, chats, pruned, samples, shown

PAGE = manual.page("webhooks")


def block(kind: str, language: str) -> str:
    (text,) = re.findall(rf"<!-- {re.escape(kind)} -->\n```{language}\n(.*?)\n```", PAGE, re.DOTALL)
    return str(text)


class TestCloudEvents:
    @pytest.mark.parametrize("kind", samples())
    def test_the_manual_shows_each_event_as_it_is_sent(self, kind: str) -> None:
        assert block(f"event: {kind}", "json") == shown(samples()[kind])

    def test_the_manual_leaves_out_only_the_other_ends_of_a_collection(self) -> None:
        assert set(EVENT_TYPES) - set(samples()) == {"collection.failed", "collection.postponed"}
        assert all(f"`{kind}`" in PAGE or f"event: {kind}" in PAGE for kind in EVENT_TYPES)

    def test_an_event_has_what_the_specification_requires(self) -> None:
        """CloudEvents 1.0.2, "Required Attributes" and "Attribute Naming Convention"."""
        for event in samples().values():
            envelope = json.loads(cloudevent(event, SOURCE))
            assert envelope["specversion"] == "1.0"
            assert all(envelope[required] for required in ("id", "source", "type"))
            assert all(re.fullmatch("[a-z0-9]+", attribute) for attribute in envelope)
            assert envelope.get("subject", "absent") != ""

    def test_a_name_that_looks_like_json_stays_one_text_in_the_event(self) -> None:
        event = next(iter(compose.of_entries([pruned('"},{"x":"\n<!here>', 0)])))
        (tag,) = json.loads(cloudevent(event, SOURCE))["data"]["tags"]
        assert tag["tag"] == '"},{"x":"\n<!here>'


class TestGroups:
    def test_an_event_has_a_hundred_tags_at_most(self) -> None:
        events = compose.of_entries(pruned(f"v{number}", number) for number in range(250))
        assert [event.data["count"] for event in events] == [100, 100, 50]

    def test_a_tag_that_is_deleted_restored_and_deleted_again_is_three_events(self) -> None:
        restored = webhook_samples.entry("restored", "v1", 1)
        events = list(compose.of_entries([pruned("v1", 0), restored, pruned("v1", 2)]))
        assert [event.type for event in events] == ["tags.deleted", "tags.restored", "tags.deleted"]

    def test_repositories_do_not_share_an_event(self) -> None:
        entries = [pruned("v1", 0), pruned("v1", 1, "shop/web"), pruned("v2", 2)]
        events = list(compose.of_entries(entries))
        assert [(event.repository, event.data["count"]) for event in events] == [("shop/api", 2), ("shop/web", 1)]


class TestChats:
    @pytest.mark.parametrize("kind", chats())
    def test_the_manual_shows_the_messages_as_they_are_sent(self, kind: str) -> None:
        assert block(f"chat: {kind}", "text") == chats()[kind]

    @pytest.mark.parametrize(
        ("text", "harmless"),
        [
            ("<!here> & <https://evil|x>", "&lt;!here&gt; &amp; &lt;https://evil|x&gt;"),
            ("@channel", "@\u200bchannel"),
            ("api@sha256:aa", "api@sha256:aa"),
            ("[x](https://evil)", "[x]\u200b(https://evil)"),
            ("a\nforged line", "a forged line"),
            ("a\u202eb\u2028c", "a b c"),
            ("`code`", "'code'"),
            ("x" * 400, f"{'x' * 299}…"),
        ],
    )
    def test_no_name_is_obeyed(self, text: str, harmless: str) -> None:
        assert sentence(text) == harmless
        assert name(text) == f"`{harmless}`"

    def test_every_event_has_its_words(self) -> None:
        assert set(message._WORDS) == set(EVENT_TYPES)

    def test_every_text_of_an_event_is_harmless(self) -> None:
        evil = "<!channel> @all `\nforged"

        def poisoned(value: Any) -> Any:
            if isinstance(value, dict):
                return {key: poisoned(part) for key, part in value.items()}
            if isinstance(value, list):
                return [poisoned(part) for part in value]
            return evil if isinstance(value, str) else value

        for event in samples().values():
            if event.type == "registry.back":
                continue
            made = WebhookEvent(event.id, event.type, evil, event.at_us, poisoned(event.data))
            for events in ([made], [made, made]):
                text = json.loads(chat_message(events, evil))["text"]
                assert not re.search("<|>|@(?!\u200b)|^forged", text, re.MULTILINE)
                assert all(line.count("`") % 2 == 0 for line in text.splitlines())

    def test_a_message_is_short_however_much_happened(self) -> None:
        events = [event for event in samples().values() for _ in range(500)]
        assert len(chat_message(events, SOURCE)) < 20_000


class TestSignatures:
    def test_are_those_of_standard_webhooks(self) -> None:
        """The example that its libraries are tested with."""
        key = signing_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
        signed = signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
        assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

    def test_the_receiver_of_the_manual_verifies_them(self) -> None:
        (program,) = manual.code_blocks(PAGE, "python")
        names: dict[str, Any] = {}
        exec(program, names)
        verified = names["verified"]
        secret = f"whsec_{base64.b64encode(bytes(range(32))).decode()}"
        now_s = round(time.time())
        headers = {"webhook-id": "a", "webhook-timestamp": str(now_s)}
        headers["webhook-signature"] = signature(signing_key(secret), "a", now_s, b"{}")
        assert verified(headers, b"{}", secret)
        assert not verified(headers, b"{ }", secret)
        assert not verified(headers | {"webhook-id": "b"}, b"{}", secret)
        assert not verified(headers | {"webhook-timestamp": str(now_s - 1)}, b"{}", secret)
        old = {"webhook-id": "a", "webhook-timestamp": str(now_s - 600)}
        old["webhook-signature"] = signature(signing_key(secret), "a", now_s - 600, b"{}")
        assert not verified(old, b"{}", secret)

    @pytest.mark.parametrize("secret", ["", "hunter2", "whsec_c2hvcnQ=", f"whsec_{'A' * 100}", "whsec_µ"])
    def test_a_weak_key_is_refused_and_not_shown(self, secret: str) -> None:
        with pytest.raises(ValueError, match="openssl rand") as refused:
            signing_key(secret)
        assert not secret or secret not in str(refused.value)
