#!/bin/sh
# Runs a program with a journald of its own, in a mount namespace of its own: unshare --mount journald.sh FOLDER CATALOG CMD...
# Leaves in FOLDER what the journal holds then: lines.json, and explained.txt as `journalctl -x` shows it.
set -eu
folder=$1 catalog=$2
shift 2

mount -t tmpfs none /run
mkdir -p /run/systemd/journal /run/systemd/system /run/log/journal /run/catalog/usr/lib/systemd/catalog
# Neither this machine's configuration nor its catalogue is anything to a test.
[ -d /etc/systemd ] && mount -t tmpfs none /etc/systemd
mkdir -p /etc/systemd
printf '[Journal]\nStorage=volatile\nReadKMsg=no\nAudit=no\nForwardToSyslog=no\nForwardToWall=no\n' >/etc/systemd/journald.conf
cp "$catalog" /run/catalog/usr/lib/systemd/catalog/
journalctl --root=/run/catalog --update-catalog
mkdir -p /var/lib/systemd/catalog
mount --bind /run/catalog/var/lib/systemd/catalog /var/lib/systemd/catalog

/lib/systemd/systemd-journald &
journald=$!
trap 'kill $journald' EXIT
tries=0
until [ -S /run/systemd/journal/io.systemd.journal ]; do
  tries=$((tries + 1))
  [ $tries -lt 500 ] || { echo "journald does not start" >&2; exit 1; }
  sleep 0.02
done

# The program's errors go there as those of a service do, if it wants to know: JOURNAL_STREAM is its business.
"$@" 2>"$folder/stderr"
journalctl --sync
journalctl --file='/run/log/journal/*/*.journal' --output=json >"$folder/lines.json"
journalctl --file='/run/log/journal/*/*.journal' --no-hostname -x >"$folder/explained.txt"
