#!/bin/sh
# A systemd of its own, with nothing of this machine but its programs, read-only: own_systemd.sh FOLDER TREE SITE PYTHON
# FOLDER/root holds the files that `balanced units` wrote; what happens is told in FOLDER. To be run by
# unshare --fork --pid --mount --uts --ipc --net --cgroup. It ends with its first process.
set -eu
folder=$1 tree=$2 site=$3 python=$4
root=/run/root

mount -t tmpfs none /run
mkdir -p $root
mount -t tmpfs -o mode=755 none $root
cd $root
mkdir -p usr etc proc sys dev run tmp var/lib/systemd var/log var/tmp root home opt/tree opt/site opt/python opt/told
for top in bin sbin lib lib32 lib64 libx32; do
  [ ! -e "/$top" ] || { [ -L "/$top" ] && cp -P "/$top" . || { mkdir $top && mount --bind "/$top" $top; }; }
done
mount --bind /usr usr
mount --bind "$tree" opt/tree
mount --bind "$site" opt/site
mount --bind "$python" opt/python
mount --bind "$folder" opt/told
for part in usr opt/tree opt/site opt/python; do mount -o remount,bind,ro $part; done
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 none sys/fs/cgroup
mount -t tmpfs -o mode=755 none dev
for device in null zero full random urandom tty; do
  : >dev/$device
  mount --bind /dev/$device dev/$device
done
mkdir dev/shm dev/pts
ln -s pts/ptmx dev/ptmx
mount -t tmpfs -o mode=755 none run

cp -r /etc/ld.so.* /etc/alternatives etc/ 2>/dev/null || true
printf 'root:x:0:0::/root:/bin/sh\nbird:x:105:105::/:/bin/false\nbalanced:x:990:990::/:/bin/false\n' >etc/passwd
printf 'root:x:0:\nbird:x:105:balanced\nbalanced:x:990:\n' >etc/group
echo 0123456789abcdef0123456789abcdef >etc/machine-id
: >etc/os-release
cp -r "$folder/root/etc/." etc/
mount -t tmpfs none usr/local
cp -r "$folder/root/usr/local/." usr/local/
systemd-tmpfiles --root=$root --create $root/etc/tmpfiles.d/balanced.conf
cp etc/balanced/bird/*.conf run/balanced/bird/
chown 990:990 run/balanced run/balanced/bird run/balanced/bird/*.conf

# Nothing of the machine is left in sight, and only our own units are known: nothing of a machine's boot runs.
mkdir old
pivot_root . old
exec chroot . /bin/sh -c '
umount -l /old
exec /usr/bin/env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin SYSTEMD_UNIT_PATH=/etc/systemd/system \
  /lib/systemd/systemd --system --unit=test.target --show-status=no --log-target=journal'
