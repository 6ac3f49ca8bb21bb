#!/bin/sh
# Makes the secrets that docker-compose.yml names, in ./secrets or the folder given. What is there already stays.
set -eu

folder=${1:-"$(cd "$(dirname "$0")/.." && pwd)/secrets"}
umask 077
mkdir -p "$folder"
chmod 700 "$folder"
echo '*' > "$folder/.gitignore"

keep() { # NAME: standard input becomes the secret, unless there is one
    [ -s "$folder/$1" ] || { rm -f "$folder/$1" && cat > "$folder/$1"; } # an empty one may not be writable
    # Readable for the containers' user; the folder keeps all others out.
    chmod 444 "$folder/$1"
}

random() {
    od -An -N32 -tx1 /dev/urandom | tr -d ' \n'
}

for name in notify_token read_token admin_token redis_password registry_http_secret grafana_password; do
    random | keep "$name"
done
printf 'redis://:%s@redis:6379/0' "$(cat "$folder/redis_password")" | keep redis_url
echo "the secrets are in $folder"
