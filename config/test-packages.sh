#!/bin/sh
# Installs the servers and clients that the tests need: as root on Debian, elsewhere it says what is missing.
set -eu

missing=""
for package in "$@"; do
    case $package in
        docker-registry) command -v docker-registry || command -v registry ;;
        valkey-server) command -v valkey-server || command -v redis-server ;;
        prometheus) command -v promtool ;;
        systemd) command -v systemd-analyze ;;
        nginx-light) PATH="$PATH:/usr/sbin" command -v nginx ;;
        *) command -v "$package" ;;
    esac > /dev/null 2>&1 || missing="$missing $package"
done
[ -z "$missing" ] && exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null 2>&1; then
    apt-get update -qq
    # No service is started: the tests start their own, on free ports.
    DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends $missing > /dev/null
    exit 0
fi
echo "the tests need:$missing (Debian's names); install them, then run make test again" >&2
exit 1
