#!/bin/sh
# Starts a program with what the director's unit leaves it: hardened.sh CAPABILITIES PYTHON 'WRITABLE...' CMD...
# CAPABILITIES are setpriv's (+net_admin,...), PYTHON the folder of the interpreter, WRITABLE folders that stay so.
# To be run by unshare --mount. The user is 64990, its group 64990; the group of BIRD is 64991.
set -eu
capabilities=$1 python=$2 writable=$3
shift 3

# ProtectHome=yes, but for an interpreter or a source tree that lies there.
tree=$(cd "$(dirname "$0")/../.." && pwd)
kept=$(mktemp -d)
for name in python tree; do
  eval "folder=\$$name"
  mkdir "$kept/$name"
  mount --bind "$folder" "$kept/$name"
done
for home in /root /home; do
  [ ! -d $home ] || mount -t tmpfs -o mode=755 none $home
done
for name in python tree; do
  eval "folder=\$$name"
  case $folder in
  /root/* | /home/*) mkdir -p "$folder" && mount --bind "$kept/$name" "$folder" ;;
  esac
done

# ProtectSystem=strict and ProtectKernelTunables=yes.
for folder in $writable; do
  mount --bind "$folder" "$folder"
done
mount --bind /proc/sys /proc/sys
for mounted in $(cut -d ' ' -f 5 /proc/self/mountinfo); do
  case " $writable " in
  *" $mounted "*) ;;
  *) mount -o remount,bind,ro "$mounted" ;;
  esac
done

exec setpriv --reuid 64990 --regid 64990 --groups 64990,64991 --no-new-privs \
  --bounding-set "-all,$capabilities" --inh-caps "-all,$capabilities" --ambient-caps "-all,$capabilities" "$@"
