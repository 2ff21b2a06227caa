# SPDX-License-Identifier: Apache-2.0
"""Why a request is not let through. Each error carries what an HTTP answer needs; the gateway words the body."""

Headers = tuple[tuple[bytes, bytes], ...]


class AuthError(Exception):
    """The family of everything that this package refuses or fails at.

    Args:
        message: what was wrong and what to do; for the client's eyes.
        code: the error's name for programs; the class's own by default.
        retry_after_s: when another try may succeed, in seconds; None where waiting does not help.
        headers: further headers of the answer.
    """

    status = 500
    code = "internal_error"

    def __init__(
        self, message: str, code: str | None = None, retry_after_s: float | None = None, headers: Headers = ()
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.retry_after_s = retry_after_s
        self.headers = headers


class AuthenticationError(AuthError):
    """It is not known who asks."""

    status = 401
    code = "invalid_api_key"


class PermissionDeniedError(AuthError):
    """Who asks may not do this."""

    status = 403
    code = "insufficient_permissions"


class RateLimitedError(AuthError):
    """Too much in the last minute.

    Args:
        message: as in the family.
        kind: `requests` or `tokens`.
        retry_after_s: when the same request will be let through, in seconds; None where it is larger than the limit.
        headers: as in the family.
    """

    status = 429
    code = "rate_limit_exceeded"

    def __init__(self, message: str, kind: str, retry_after_s: float | None, headers: Headers = ()) -> None:
        super().__init__(message, None, retry_after_s, headers)
        self.kind = kind


class QuotaExceededError(AuthError):
    """Too much in the day or the month.

    Args:
        message: as in the family.
        kind: the limit's name, such as `tokens_per_day`.
        retry_after_s: when the next day or month begins, in seconds.
    """

    status = 429
    code = "insufficient_quota"

    def __init__(self, message: str, kind: str, retry_after_s: float) -> None:
        # OpenAI's clients would try again at once otherwise, in vain.
        super().__init__(message, None, retry_after_s, ((b"x-should-retry", b"false"),))
        self.kind = kind


class KeyNotFoundError(AuthError):
    """There is no such API key."""

    status = 404
    code = "api_key_not_found"


class KeyRevokedError(AuthError):
    """The API key is revoked, which is for good."""

    status = 409
    code = "api_key_revoked"


class IssuerUnavailableError(AuthError):
    """The keys of a token's issuer cannot be had, so that nobody can say whether the token is good."""

    status = 503
    code = "issuer_unavailable"


class DatabaseError(AuthError):
    """The database cannot be used. `str` of it is for operators; `message` tells clients nothing of the database.

    Args:
        detail: what was wrong and what to do, with the database's URL but without its password.
    """

    status = 503
    code = "database_unavailable"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, retry_after_s=1.0)
        self.message = "The gateway's database cannot be used at the moment; try again later."


class AuthConfigError(AuthError):
    """A secret or key that the configuration names is missing or unfit."""
