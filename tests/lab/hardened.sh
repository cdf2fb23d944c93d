#!/bin/sh
# Starts a program with what the director's unit leaves it: hardened.sh CAPABILITIES PYTHON 'WRITABLE...' CMD...
# CAPABILITIES are setpriv's (+net_admin,...), PYTHON the folder of the interpreter, WRITABLE folders that stay so.
# To be run by unshare --mount. The user is 64990, its group 64990; the group of BIRD is 64991.
set -eu
capabilities=$1 python=$2 writable=$3
shift 3

# ProtectHome=yes, but for an interpreter that lies there.
kept=$(mktemp -d)
mount --bind "$python" "$kept"
for home in /root /home; do
  [ ! -d $home ] || mount -t tmpfs -o mode=755 none $home
done
case $python in
/root/* | /home/*) mkdir -p "$python" && mount --bind "$kept" "$python" ;;
esac

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
