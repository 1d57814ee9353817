"""Requests to Elasticsearch's security, and what its refusals mean.

Facts, tried on 9.5 with the basic licence:

* A role gives what it names once that is registered as a privilege, and before only if it names nothing else, or a star.
  For ordinary users everything that no role names is refused, registered or not, and so is all of an application that
  nobody ever registered. The superuser is allowed everything.
* `_has_privileges` judges the names that it is given: rights on an alias are none on the index behind it, and the other way
  round. It returns who is asking.
* An API key keeps the rights that its owner had when it was made: it outlives the roles, and lets in whoever was disabled.
* Root makes a key for somebody by running as him, for which he needs `manage_own_api_key` himself. The owner of the key,
  and the author of what it writes, is he.
* Switched off, a server has no pages of security, and answers 400 `no handler found`.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from dca.core.errors import RefusedError, UnreachableError, UsageError
from dca.core.names import shown
from dca.store.elastic_door import GOOD, MISSING, NOT_PERMITTED, Request

if TYPE_CHECKING:
    from collections.abc import Callable

    from dca.core.errors import DcaError
    from dca.store.elastic_door import Answer, Door

NO_PAGE = "no handler found"
SECURITY_INDEX = ".security"
VALIDATION = re.compile(r"^Validation Failed: 1: (.*?);?$")
LOGIN = re.compile(r"[A-Za-z0-9][\x21-\x2b\x2d-\x7e]{0,255}", re.ASCII)
"""What Elasticsearch takes for a login, but for blanks, for the comma between two logins, and for names of its own pages."""
ROLE = re.compile(r"[\x21-\x2b\x2d-\x7e]{1,300}", re.ASCII)
"""What Elasticsearch takes for a role, but for blanks, and for the comma between two roles."""


class SecurityOffError(UnreachableError):
    """Security is switched off at the server."""


class Security:
    """The pages of Elasticsearch's security."""

    def __init__(self, door: Door, deadline: Callable[[], float]) -> None:
        """Take the door, and what says until when a request that begins now may take."""
        self._door = door
        self._deadline = deadline

    def reach(self, doing: str, method: str, path: str, body: Any = None, *, acting_as: str = "") -> Answer:
        """Send a request, perhaps as another user; return an answer that is good or says that something is not there."""
        request = Request(doing, method, f"/_security/{path}", body, acting_as)
        answer = self._door.reach(request, until=self._deadline())
        if answer.status in GOOD or (answer.status == MISSING and not answer.kind):
            return answer
        raise self._refusal(answer, request)

    def ask(self, doing: str, method: str, path: str, body: Any = None, *, acting_as: str = "") -> Any:
        """Send a request and return the body of a good answer."""
        answer = self.reach(doing, method, path, body, acting_as=acting_as)
        return self._door.body_of(answer, Request(doing, method, path))

    def renewed(self, login: str, password: str) -> None:
        """Go on with a user's new password, should that be the caller."""
        self._door.renew(login, password)

    def _refusal(self, answer: Answer, request: Request) -> DcaError:
        doing, host = request.doing, answer.host
        said = json.dumps(answer.body)
        if NO_PAGE in said:
            return SecurityOffError(
                f"cannot {doing}: security is switched off at {host}, so that everybody who reaches it may do everything; "
                "switch it on (xpack.security.enabled: true) and run dca setup."
            )
        if answer.kind != NOT_PERMITTED and SECURITY_INDEX in said:
            return UnreachableError(
                f"cannot {doing}: the index in which {host} keeps users and roles is not ready ({answer.reason}); nothing was "
                "changed: look at GET _cluster/health/.security and try again."
            )
        refused = VALIDATION.match(answer.reason)
        if refused or answer.kind == "illegal_argument_exception":
            return RefusedError(
                f"cannot {doing}: {host} answers: {(refused[1] if refused else answer.reason).rstrip('.')}."
            )
        return self._door.refusal(answer, request)


def check_login(login: str) -> str:
    """Return a login that can be one at Elasticsearch and stand in its addresses."""
    if not LOGIN.fullmatch(login):
        raise UsageError(
            f"login {shown(login)} cannot be one of Elasticsearch: 1 to 256 printable ASCII characters without blank and "
            "comma, beginning with a letter or digit."
        )
    return login


def check_role(granted: str) -> str:
    """Return the name under which a role is granted, if it can be that of a role at Elasticsearch."""
    if not ROLE.fullmatch(granted):
        raise RefusedError(
            f"role {shown(granted)} cannot be one of Elasticsearch: 1 to 300 printable ASCII characters, no blank or comma."
        )
    return granted
