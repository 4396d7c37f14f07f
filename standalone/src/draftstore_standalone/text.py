"""What standalone says on the terminal."""

from pathlib import Path

from draftstore_standalone.backing import Servers
from draftstore_standalone.keys import KeyFiles


def summary(gateway_url: str, servers: Servers, data_dir: Path, keys: KeyFiles, data_key: str) -> str:
    """What runs where, and three commands to paste."""
    return f"""
DraftStore is ready.

  gateway     {gateway_url}   (API documentation: {gateway_url}/docs)
  PostgreSQL  {servers.database}
  store       {servers.store}
  data        {data_dir}
  keys        {keys.data} (data)  {keys.admin} (admin)

Try it (any file will do in place of README.md):

  curl -s {gateway_url}/api/v1/upload-url -H 'Authorization: Bearer {data_key}' \\
       -H 'Content-Type: application/json' -d '{{"object_name": "docs/readme.md"}}' | tee upload.json

  curl -s -T README.md "$(python3 -c 'import json; print(json.load(open("upload.json"))["upload_url"])')"

  curl -s {gateway_url}/api/v1/confirm-upload -H 'Authorization: Bearer {data_key}' \\
       -H 'Content-Type: application/json' -d '{{"object_name": "docs/readme.md"}}'

Stop with Ctrl-C. Everything is kept for the next start.
"""
