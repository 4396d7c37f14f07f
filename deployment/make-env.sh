#!/bin/sh
# Writes the secrets docker-compose.yml asks for into .env (or the file named), readable by its owner only.
# Run it once, before the first `docker compose up`: PostgreSQL keeps the password of its first start.
set -eu

target=${1:-.env}

fail() {
    echo "$1" >&2
    exit 1
}

if command -v sha256sum >/dev/null; then
    digest=sha256sum
elif command -v shasum >/dev/null; then
    digest="shasum -a 256"
else
    fail "Neither sha256sum nor shasum is here: install coreutils."
fi

# 40 hexadecimal digits: nothing to escape in a URL, and as long as MinIO allows.
secret() {
    od -An -v -N20 -tx1 /dev/urandom | tr -d ' \n'
}

# identity knows the services by the digests of their keys only.
sha256() {
    printf %s "$1" | $digest | cut -d ' ' -f 1
}

gateway_key=$(secret)
drafts_key=$(secret)
cleaner_key=$(secret)

content="# Secrets of this installation. Keep them: its data opens with POSTGRES_PASSWORD and SIGNING_KEY_SECRET only.
POSTGRES_PASSWORD=$(secret)
SIGNING_KEY_SECRET=$(secret)
MINIO_ROOT_USER=$(secret | cut -c 1-20)
MINIO_ROOT_PASSWORD=$(secret)
GATEWAY_SERVICE_KEY=$gateway_key
DRAFTS_SERVICE_KEY=$drafts_key
CLEANER_SERVICE_KEY=$cleaner_key
SERVICE_KEYS=gateway=$(sha256 "$gateway_key"),drafts=$(sha256 "$drafts_key"),cleaner=$(sha256 "$cleaner_key")"

[ ! -e "$target" ] || fail "$target exists already, and is good as it is. Nothing was changed."
umask 077
set -C # even if it appeared just now, it is not overwritten
printf '%s\n' "$content" >"$target"
echo "Wrote $target. Next: docker compose up --detach --build"
