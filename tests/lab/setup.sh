#!/bin/sh
# Installs the Debian packages named as arguments that are missing; says what, asks nothing, leaves no service running.
set -eu

missing=
for package; do
  state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) || state=absent
  [ "$state" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

as_root=
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "setup: these Debian packages are missing:$missing" >&2
    echo "setup: run as root: apt-get install$missing" >&2
    exit 1
  fi
  as_root=sudo
fi

# Debian starts a service when its package is installed; a router that announces nothing yet must not do so on its own.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
  $as_root chmod +x "$policy"
  trap '$as_root rm -f "$policy"' EXIT
fi

echo "setup: installing the Debian packages$missing"
$as_root apt-get update -qq
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends -y $missing >/dev/null
case "$missing " in
*" bird2 "*) [ ! -d /run/systemd/system ] || $as_root systemctl disable --quiet bird.service ;;
esac
case "$missing " in
*" containerd "*) [ ! -d /run/systemd/system ] || $as_root systemctl disable --quiet containerd.service ;;
esac
echo "setup: done"
