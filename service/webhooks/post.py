"""Post one message to the receiver of a webhook. Its answer only says if the message was received."""

from dataclasses import dataclass
from enum import Enum

from service.domain.webhooks.signature import signature
from service.registry.answers import innermost, is_certificate_failure, retry_after_s
from service.registry.exchange import FAILURES, Answer, Request
from service.registry.session import HttpSession
from service.settings.webhooks import ReceiverAddress

TIMEOUT_S = 10.0
_CONNECT_S = 3.0
_GONE = 410
# Answers that a later attempt will not change: the receiver does not take this message.
_NOT_TAKEN = frozenset({400, 413, 415, 422})
_LONGEST_WAIT_S = 3600.0


class PostOutcome(Enum):
    """The outcome of an attempt."""

    RECEIVED = "2xx"
    RETRY = "no answer, or an answer that a later attempt may change"
    NOT_TAKEN = "the receiver does not take this message"
    GONE = "the receiver does not want any more messages"


@dataclass(frozen=True, slots=True)
class PostResult:
    """One attempt to send a message.

    Attributes:
        error: one sentence; "" if it was received.
        retry_after_s: how long the receiver asks to wait.
    """

    outcome: PostOutcome
    error: str = ""
    retry_after_s: float = 0.0


class Post:
    """A sender of messages to one receiver, one after the other."""

    def __init__(self, receiver: ReceiverAddress) -> None:
        """Open the session; nothing is sent yet. Raises ConfigurationError if `ca_file` holds no certificate."""
        self._receiver = receiver
        self._session = HttpSession(
            receiver.url, ca_file=receiver.ca_file, connect_s=_CONNECT_S, parallel=1, ca_setting="webhooks: ca_file"
        )

    def send(self, message_id: str, body: bytes, content_type: str, now_s: int) -> PostResult:
        """Send a message once.

        Args:
            message_id: the same when the message is sent again.
            now_s: the time of this attempt, in seconds since the epoch.
        """
        headers = {"Content-Type": content_type, "webhook-id": message_id, "webhook-timestamp": str(now_s)}
        if self._receiver.key is not None:
            headers["webhook-signature"] = signature(self._receiver.key, message_id, now_s, body)
        request = Request("POST", self._receiver.url, headers, body)
        try:
            # A redirect, which would send the message to an address that the operator did not choose, is not followed.
            answer = self._session.send(request, timeout_s=TIMEOUT_S, most_bytes=0)
        except FAILURES as error:
            return PostResult(PostOutcome.RETRY, f"{self._receiver.origin} {self._reason(error)}")
        return self._result(answer)

    def _result(self, answer: Answer) -> PostResult:
        status = answer.status
        if 200 <= status < 300:
            return PostResult(PostOutcome.RECEIVED)
        error = f"{self._receiver.origin} answers {status}"
        if status == _GONE:
            return PostResult(PostOutcome.GONE, error)
        if 300 <= status < 400:
            return PostResult(
                PostOutcome.RETRY, f"{error}, a redirect, which is not followed: set its url to the new address"
            )
        wait_s = min(retry_after_s(answer) or 0.0, _LONGEST_WAIT_S)
        return PostResult(PostOutcome.NOT_TAKEN if status in _NOT_TAKEN else PostOutcome.RETRY, error, wait_s)

    def _reason(self, error: Exception) -> str:
        # Errors may show the whole URL, which may be a secret.
        if isinstance(error, TimeoutError):
            return f"did not answer within {TIMEOUT_S:g} s"
        if is_certificate_failure(error):
            return "shows a certificate that is not trusted here: set ca_file to its CA's certificate"
        return f"cannot be reached: {innermost(error)}"
