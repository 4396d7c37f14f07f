"""The public API as a client program sees it, over real HTTP."""

from typing import Any

import httpx

from support.issued import Secrets


class Api:
    """Calls of one key. Names and bodies are those of the public API."""

    def __init__(self, http: httpx.AsyncClient, key: str | None, secrets: Secrets) -> None:
        self.http = http
        self._headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        self._secrets = secrets

    async def call(self, method: str, path: str, body: Any = None, **request: Any) -> httpx.Response:
        """One request; `body` is sent as JSON."""
        headers = self._headers | request.pop("headers", {})
        content = {} if body is None else {"json": body}
        answer = await self.http.request(method, path, headers=headers, **content, **request)
        self._secrets.add_from(answer.text)
        return answer

    async def json(self, method: str, path: str, body: Any = None, *, status: int = 200) -> Any:
        """The answer's JSON, when it has this status."""
        answer = await self.call(method, path, body)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()

    async def problem(self, method: str, path: str, body: Any = None) -> tuple[int, str]:
        """Status and code of an answer that must be a whole problem document."""
        return problem_of(await self.call(method, path, body))

    async def draft(self, object_name: str, **intent: Any) -> dict[str, Any]:
        """A new draft with its upload URL."""
        draft: dict[str, Any] = await self.json(
            "POST", "/api/v1/drafts", {"object_name": object_name, **intent}, status=201
        )
        return draft

    async def put(self, upload: dict[str, Any], content: bytes, **headers: str) -> httpx.Response:
        """Send bytes to an upload URL with the headers it asks for, some perhaps changed."""
        url = upload.get("url") or upload["upload_url"]
        return await self.http.put(url, content=content, headers=upload["headers"] | headers)

    async def uploaded(self, object_name: str, content: bytes, **intent: Any) -> dict[str, Any]:
        """A draft whose bytes are in the draft bucket."""
        draft = await self.draft(object_name, **intent)
        answer = await self.put(draft["upload"], content)
        assert answer.status_code == 200, answer.text
        return draft

    async def confirm(self, draft_id: str, *, status: int = 200, **options: Any) -> dict[str, Any]:
        """Confirm a draft."""
        receipt: dict[str, Any] = await self.json("POST", f"/api/v1/drafts/{draft_id}/confirm", options, status=status)
        return receipt

    async def confirmed(self, object_name: str, content: bytes, **options: Any) -> dict[str, Any]:
        """The receipt of a new object."""
        draft = await self.uploaded(object_name, content)
        return await self.confirm(draft["id"], **options)

    async def download_url(self, object_name: str, **more: Any) -> str:
        """Where the bytes under a name can be read."""
        answer = await self.json("POST", "/api/v1/download-url", {"object_name": object_name, **more})
        return str(answer["download_url"])

    async def download(self, url: str) -> bytes:
        """The bytes behind a download URL."""
        answer = await self.http.get(url)
        assert answer.status_code == 200, answer.text
        return answer.content


def problem_of(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of a problem (RFC 9457), after a look at everything every problem must carry."""
    assert answer.headers["content-type"].startswith("application/problem+json"), answer.text
    problem = answer.json()
    assert problem["status"] == answer.status_code
    assert problem["request_id"] == answer.headers["x-request-id"], problem
    assert problem["request_id"] not in {"", "-"}, problem
    assert {"type", "title"} <= problem.keys(), problem
    detail = problem["detail"]
    assert " " in detail, f"not a sentence: {detail!r}"
    assert detail.endswith((".", "?")), f"not a sentence: {detail!r}"
    return answer.status_code, str(problem["code"])
