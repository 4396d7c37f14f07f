"""Masks secrets in text that people will read: log lines, and what an answer repeats of a request.

A secret is known by its form (an API key, a JWT, a private key in PEM), by the name before it (a signature in a URL, a
header, a field called `password`), or by its place (the password in a URL). Each is found as it is, percent-encoded
however often, and escaped as in JSON inside JSON. What is masked stays recognisable for its owner: the prefix of a key,
the name of a field. Text that was JSON before is JSON afterwards.
"""

import re
from urllib.parse import unquote

MASK = "***"

# Everything is bounded, and a run of backslashes looked at from its beginning only: no line costs more than its length.
_BACKSLASHES = r"(?<!\\)\\{1,16}"
_ESCAPE = rf"(?:%(?:25){{0,8}}|{_BACKSLASHES}(?:u00|x))"


class _Spelling:
    """How characters may be written: as they are, or also escaped."""

    def __init__(self, *, escapes: bool) -> None:
        self._escapes = escapes

    def one(self, plain: str, digits: str) -> str:
        """One of some characters: a pattern for each as it is, and one for the hexadecimal digits of its code."""
        return f"(?:{plain}|{_ESCAPE}(?:{digits}))" if self._escapes else plain

    def word(self, text: str) -> str:
        """These characters, one after another, in either case."""
        return "".join(self.one(re.escape(character), _codes(character)) for character in text)

    def any_of(self, *words: str) -> str:
        """One of these words."""
        return f"(?:{'|'.join(map(self.word, words))})"


def _codes(character: str) -> str:
    return "|".join({f"{ord(spelt):02x}" for spelt in (character.lower(), character.upper())})


_SIGNED = ("signature", "credential", "credentials", "security-token", "security_token")
_NAMED = (
    "password",
    "passwd",
    "passphrase",
    "authorization",
    "secret",
    "secret_key",
    "secret-key",
    "secretkey",
    "secret_access_key",
    "secretaccesskey",
    "api_key",
    "api-key",
    "apikey",
    "service_key",
    "service-key",
    "access_token",
    "session_token",
    "sessiontoken",
)
_SCHEMES = ("bearer", "basic", "aws4-hmac-sha256")


def _compiled(spelling: _Spelling) -> re.Pattern[str]:
    word, any_of, one = spelling.word, spelling.any_of, spelling.one
    letter = one("[0-9A-Za-z]", "3[0-9]|[46][1-9a-f]|[57][0-9a]")
    token = one("[0-9A-Za-z_=-]", "2d|3[0-9d]|[46][1-9a-f]|5[0-9af]|7[0-9a]")
    value = one(rf"[^&\s\"'\\<>,;(){{}}\[\]]|{_BACKSLASHES}/", "[2-7][0-9a-f]")
    space = one(r"[\s+]", "20|2b|0a|0d|09")
    backslashes = rf"(?:{_BACKSLASHES}|{one('(?!)', '5c')}{{1,16}})"
    quote = backslashes + "?" + one("[\"']", "22|27")
    bracket = one(r"[\[(]", "5b|28")
    gap, opening = rf"{space}{{0,8}}", rf"{bracket}?{word('b')}?"
    equals, colon, comma, slash, at = map(word, "=:,/@")
    scheme = rf"(?:{any_of(*_SCHEMES)}{space}{{1,8}})"
    # After a quoted name, only a quoted value: `***` in the place of a number would be no JSON.
    between = (
        rf"(?:{equals}(?:{quote})?|{quote}{gap}{colon}{gap}{opening}{quote}|{quote}{gap}{comma}{gap}{word('b')}?{quote}(?![^\"']{{0,99}}\\*[\"']\s*:)"
        rf"|{gap}{colon}{gap}(?!\s))"
    )
    return re.compile(
        rf"(?P<key>{word('ds_')}{any_of('live', 'test', 'admin')}{word('_')}){letter}{{8,}}"
        rf"|(?P<jwt>{word('eyJ')}){token}{{8,1000}}+(?:{word('.')}{token}*){{1,2}}"
        rf"|(?P<named>{any_of(*_SIGNED, *_NAMED)}{between}{scheme}?)(?:{value})+"
        rf"|(?P<scheme>{scheme})(?:{value})+"
        rf"|(?P<url>{colon}{slash}{{2}}(?:(?!{colon}|{at}|{slash})[^\s\"'])*{colon})(?:(?!{slash})[^\s\"'])+(?={at})"
        r"|(?P<pem>-----BEGIN[A-Z ]{0,40}PRIVATE KEY-----)[^\"-]*",
        re.IGNORECASE,
    )


_AS_IT_IS = _compiled(_Spelling(escapes=False))
_ESCAPED = _compiled(_Spelling(escapes=True))

_MARKS = ("ds_", "eyj", "://", "private key-", *_SIGNED, *_NAMED, *_SCHEMES)
"""What every secret of the patterns has in it, once nothing is escaped and all is lower case."""

_STEMS = (
    "ds_",
    "eyj",
    "://",
    "key",
    "signature",
    "credential",
    "token",
    "pass",
    "auth",
    "secret",
    "bear",
    "basic",
    "aws4",
)
"""What every mark has in it: looked for first, being fewer."""

_BACKSLASHED = re.compile(rf"{_BACKSLASHES}(?:u00|x)([0-9A-Fa-f]{{2}})")
_ROUNDS = 10


def redact(text: str) -> str:
    """The text with every secret masked (`***`)."""
    # Most lines have nothing of the kind, and the patterns cost ten times as much as this look.
    if not may_hold_secret(text):
        return text
    return (_ESCAPED if _is_escaped(text) else _AS_IT_IS).sub(_masked, text)


def may_hold_secret(text: str) -> bool:
    """Whether anything in the text could be masked. Every mark is free of quotes, commas, white space but in `KEY-`.

    So of a text that is put together from others with such between them, it is enough to ask about the others.
    """
    plain = (_unescaped(text) if _is_escaped(text) else text).lower()
    return any(map(plain.__contains__, _STEMS)) and any(map(plain.__contains__, _MARKS))


def _is_escaped(text: str) -> bool:
    return "%" in text or "\\" in text


def _unescaped(text: str) -> str:
    for _ in range(_ROUNDS):
        before, text = text, _BACKSLASHED.sub(lambda found: chr(int(found[1], 16)), unquote(text))
        if text == before:
            break
    return text


def _masked(found: re.Match[str]) -> str:
    return f"{found[str(found.lastgroup)]}{MASK}"
