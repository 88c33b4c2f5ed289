#!/bin/sh
# A Chromium for the browser tests: the one found, else Debian's own package when we may install it.
# Never fails: without one the browser tests skip, or fail under CI=true (tests/conftest.py looks in the same places).

for name in "$CHROMIUM" chromium chromium-browser google-chrome google-chrome-stable; do
    if [ -n "$name" ] && command -v "$name" >/dev/null; then
        exit 0
    fi
done

if [ "$(id -u)" = 0 ] && grep -qs '^ID=debian' /etc/os-release; then
    echo "Installing Chromium for the browser tests."
    export DEBIAN_FRONTEND=noninteractive
    if apt-get update -qq </dev/null &&
        apt-get install -y -qq --no-install-recommends chromium fonts-noto-core fonts-noto-color-emoji </dev/null >/dev/null
    then
        exit 0
    fi
fi

echo "No Chromium found for the browser tests: install the package chromium (or Google Chrome), or set CHROMIUM=/path/to/chromium."
