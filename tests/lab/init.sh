#!/bin/sh
# First process of the lab: of the User-Mode Linux kernel, or (LAB_KERNEL=host) of private namespaces on this machine's
# own kernel. Mounts, modules, the command, its exit code. LAB_WORK is the folder that boot.py made for this run.
set -u
export PATH=/run/lab/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

if [ "$LAB_KERNEL" = uml ]; then
  mount -t proc proc /proc
  mount -t sysfs sysfs /sys
  mount -t devpts devpts /dev/pts 2>/dev/null || { mkdir -p /dev/pts && mount -t devpts devpts /dev/pts; }
  terminal=/dev/tty1
  stty raw -echo <"$terminal"
  exec <"$terminal" >"$terminal" 2>&1
fi

# Everything the lab writes lives here and is gone with it.
mount -t tmpfs -o mode=755 run /run
mkdir -p /run/lab/bin /run/netns /run/lock
mkdir -m 1777 /run/tmp
export TMPDIR=/run/tmp
ip link set lo up

if [ "$LAB_KERNEL" = uml ]; then
  # The modules are not where modprobe looks, for us and for the kernel that loads a scheduler on demand.
  mkdir -p /run/lab/lib
  ln -s /usr/lib/uml/modules /run/lab/lib/modules
  printf '#!/bin/sh\nexec /sbin/modprobe -d /run/lab "$@"\n' >/run/lab/bin/modprobe
  chmod +x /run/lab/bin/modprobe
  echo /run/lab/bin/modprobe >/proc/sys/kernel/modprobe
fi
missing=
for module in ip_vs ip_vs_mh ip_vs_rr ip_vs_wrr ip_vs_sh ip_vs_lc ip_vs_wlc ipip ip6_tunnel dummy veth bridge; do
  [ -d "/sys/module/$module" ] || missing="$missing $module"
done
# shellcheck disable=SC2086 # a list of words
[ -z "$missing" ] || modprobe -a $missing || echo "lab: this kernel ($(uname -r)) lacks what is named above" >&2

unset mem uml_dir # parameters of the kernel, which hands to its first process what looks like a variable
sh "$LAB_WORK/command"
echo $? >"$LAB_WORK/exit-code.new"
mv "$LAB_WORK/exit-code.new" "$LAB_WORK/exit-code"

if [ "$LAB_KERNEL" = uml ]; then
  echo o >/proc/sysrq-trigger
  sleep 60 # the first process must not end before the power does
fi
