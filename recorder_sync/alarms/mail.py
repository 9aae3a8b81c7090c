"""Alarms by mail.

Rule: without TLS nothing is said unless the operator wrote `starttls = false`. `Message-ID` follows from the alarm's
key and `Date` is when it was noticed, so that a mail that was sent twice is recognised as one. Once the server has
accepted the mail nothing that follows is a failure.
"""

import asyncio
import hashlib
import logging
import smtplib
import socket
import ssl
import threading
from contextlib import suppress
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr

from recorder_sync.alarms.channels import ChannelFailed, seconds
from recorder_sync.alarms.secrets import Secrets
from recorder_sync.alarms.wording import as_json, one_line, title
from schema.moments import to_datetime
from schema.service import AlarmChannel, split_address
from schema.values import Alarm

log = logging.getLogger(__name__)

_SUBMISSIONS = 465
"""The port on which TLS comes first (RFC 8314)."""


class Mail:
    """Sends each alarm as one mail to all addresses."""

    ordered = False

    def __init__(self, settings: AlarmChannel, secrets: Secrets) -> None:
        self.name = settings.name
        self.timeout = seconds(settings)
        self._settings = settings
        self._host, self._port = split_address(settings.server or "")
        self._password = secrets.expand(settings.password or "")
        secrets.note(self._password)
        self._secrets = secrets

    async def send(self, alarm: Alarm) -> str:
        """Send a mail. Raises ChannelFailed."""
        try:
            message = compose(alarm, self._settings.sender or "", self._settings.to)
        except ValueError as error:
            raise ChannelFailed(f"no mail can be made with this 'sender' and 'to': {error}") from None
        talk = _Talk(self, message)
        try:
            ended = await asyncio.wait_for(asyncio.shield(talk.start()), self.timeout)
        except TimeoutError:
            ended = None if talk.accepted else ChannelFailed(f"not done within {self.timeout:g} s")
        finally:
            talk.cut()
        if ended is not None:
            raise ended
        return "it accepted the mail"

    def deliver(self, message: EmailMessage, talk: "_Talk") -> None:
        """Talk to the server, in a thread. Raises what smtplib raises."""
        context = ssl.create_default_context()
        if self._settings.starttls and self._port == _SUBMISSIONS:
            client: smtplib.SMTP = _Secure(talk, self._host, self._port, self.timeout, context)
        else:
            client = _Plain(talk, self._host, self._port, self.timeout)
            if self._settings.starttls:
                client.starttls(context=context)
        if self._settings.user:
            client.login(self._settings.user, self._password)
        refused = client.send_message(message)
        talk.accepted = True
        if refused:  # the others have it: sending it to all again would be worse
            log.warning("alarms.recipients_refused", extra={"channel": self.name, "recipients": sorted(refused)})
        with suppress(OSError, smtplib.SMTPException):
            client.quit()

    def reason(self, error: Exception) -> ChannelFailed:
        """Return what `error` means, without secrets."""
        said, answered = _reason(error)
        return ChannelFailed(self._secrets.hide(one_line(said)), answered=answered)


class _Talk:
    """One conversation in a thread of its own: smtplib blocks, and a server can drip for ever.

    Not in the loop's pool: that is waited for when the service stops.
    """

    def __init__(self, mail: Mail, message: EmailMessage) -> None:
        self._mail, self._message = mail, message
        self.client: smtplib.SMTP | None = None
        self.accepted = False

    def start(self) -> "asyncio.Future[ChannelFailed | None]":
        """Begin; the future becomes how it ended."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[ChannelFailed | None] = loop.create_future()

        def run() -> None:
            outcome: ChannelFailed | None = None
            try:
                self._mail.deliver(self._message, self)
            except Exception as error:  # noqa: BLE001  a thread has nobody else to tell
                outcome = self._mail.reason(error)
            finally:
                if self.client is not None:
                    self.client.close()
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(_settle, ended, outcome)

        threading.Thread(target=run, name=f"mail-{self._mail.name}", daemon=True).start()
        return ended

    def cut(self) -> None:
        """End the conversation from outside: whatever blocks on the socket fails."""
        sock = None if self.client is None else self.client.sock
        if sock is not None:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


class _Plain(smtplib.SMTP):
    """A client that its conversation can cut from the first moment: smtplib connects while it is being made."""

    def __init__(self, talk: _Talk, host: str, port: int, timeout: float) -> None:
        talk.client = self
        super().__init__(host, port, timeout=timeout)


class _Secure(smtplib.SMTP_SSL):
    """The same with TLS from the first byte."""

    def __init__(self, talk: _Talk, host: str, port: int, timeout: float, context: ssl.SSLContext) -> None:
        talk.client = self
        super().__init__(host, port, timeout=timeout, context=context)


def _settle(ended: "asyncio.Future[ChannelFailed | None]", outcome: ChannelFailed | None) -> None:
    if not ended.done():
        ended.set_result(outcome)


def compose(alarm: Alarm, sender: str, to: list[str]) -> EmailMessage:
    """Return the mail of an alarm; the same alarm gives the same mail."""
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    message["To"] = ", ".join(to)
    message["Subject"] = title(alarm)
    message["Date"] = format_datetime(to_datetime(alarm.at))
    digest = hashlib.sha256(alarm.key.encode()).hexdigest()[:32]
    domain = parseaddr(sender)[1].rpartition("@")[2] or "recorder-sync.invalid"
    message["Message-ID"] = f"<{digest}@{domain}>"
    message["Auto-Submitted"] = "auto-generated"  # no holiday notes in return
    message.set_content(f"{one_line(alarm.text)}\n\n{as_json(alarm).decode()}\n", cte="quoted-printable")
    return message


def _reason(error: Exception) -> tuple[str, bool]:
    """Return what went wrong, and whether the server works and does not want this mail."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        code, said = next(iter(error.recipients.values()))
        return f"no recipient was accepted: {code} {_text(said)}", code >= 500
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return f"{error}; set starttls = false only on a network that nobody else can read", False
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return f"it does not accept the login: {error.smtp_code}", False
    if isinstance(error, smtplib.SMTPResponseException):
        return f"it answered {error.smtp_code} {_text(error.smtp_error)}", error.smtp_code >= 500
    if isinstance(error, ssl.SSLError):
        return f"no secure connection: {error.reason or error}", False
    if isinstance(error, OSError):
        return f"the connection failed: {error.strerror or error}", False
    return f"{type(error).__name__}: {error}", False


def _text(said: bytes | str) -> str:
    return (said.decode("utf-8", "replace") if isinstance(said, bytes) else said)[:200]
