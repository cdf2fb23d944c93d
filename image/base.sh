#!/bin/sh
# Run by mmdebstrap on a root ($1) that holds all packages: the appliance from its wheelhouse ($2), and what makes of a
# root a system that starts.
set -eu
root=$1
wheelhouse=$2
here=$(dirname "$0")

# The same as the role appliance does, which finds it done: on an emulated processor it takes ten minutes.
release=/opt/balanced/$(basename "$wheelhouse" .tar)
mkdir -p "$root$release"
tar -x -f "$wheelhouse" -C "$root$release" --no-same-owner
chroot "$root" python3 -m venv "$release"
chroot "$root" sh -c "cd $release && exec bin/pip install --quiet --no-index --no-cache-dir --no-compile \
  --root-user-action ignore --disable-pip-version-check --find-links wheels --require-hashes --requirement wheels/requirements.txt"
rm -r "$root$release/wheels"
# Byte code that knows its source by content and not by time is the same in each build.
chroot "$root" "$release/bin/python" -m compileall -q -f --invalidation-mode checked-hash "$release/lib"

# A node's packages come from Debian, wherever this build took them from.
codename=$(. "$root/etc/os-release" && echo "$VERSION_CODENAME")
rm -f "$root/etc/apt/sources.list"
cat >"$root/etc/apt/sources.list.d/debian.sources" <<END
Types: deb
URIs: http://deb.debian.org/debian
Suites: $codename $codename-updates
Components: main non-free-firmware
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://deb.debian.org/debian-security
Suites: $codename-security
Components: main non-free-firmware
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
END

# One initramfs for a start from a disk and for one from the network.
install -m 0755 "$here/initramfs/hook" "$root/etc/initramfs-tools/hooks/balanced-netboot"
install -m 0644 "$here/initramfs/script" "$root/etc/initramfs-tools/scripts/balanced-netboot"
chroot "$root" update-initramfs -u -k all >/dev/null

# The boot loader's parts, from which the disk is made; an update of the system takes them along.
boot=$root/usr/local/lib/balanced/boot
mkdir -p "$boot"
chroot "$root" grub-mkimage -O i386-pc -p '(,gpt2)/EFI/debian' -o /usr/local/lib/balanced/boot/core.img \
  biosdisk part_gpt fat ext2 normal linux loadenv test echo regexp probe search configfile serial terminal \
  minicmd ls cat reboot halt sleep true
cp "$root/usr/lib/grub/i386-pc/boot.img" "$boot/boot.img"
# Debian's signed chain. Its GRUB reads /EFI/debian/grub.cfg of the partition it was loaded from.
cp "$root/usr/lib/shim/shimx64.efi.signed" "$boot/bootx64.efi"
cp "$root/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed" "$boot/grubx64.efi"
cp "$here/grub.cfg" "$boot/grub.cfg"
chroot "$root" grub-editenv /usr/local/lib/balanced/boot/grubenv create
chroot "$root" grub-editenv /usr/local/lib/balanced/boot/grubenv set good=a
chmod 0755 "$boot"
chmod 0644 "$boot"/*

# What has to outlast an update of the system lies on a partition of its own, which grows to the end of the disk at the first
# start. The root itself is the kernel's business.
mkdir -p "$root/efi" "$root/persist" "$root/etc/balanced" "$root/var/lib/balanced" "$root/var/log/journal"
cat >"$root/etc/fstab" <<'END'
PARTLABEL=balanced-esp   /efi              vfat  umask=0077,nofail                                              0 2
PARTLABEL=balanced-data  /persist          ext4  nofail,x-systemd.growfs,x-systemd.after=systemd-repart.service 0 2
/persist/etc             /etc/balanced     none  bind,nofail,x-systemd.requires-mounts-for=/persist             0 0
/persist/state           /var/lib/balanced none  bind,nofail,x-systemd.requires-mounts-for=/persist             0 0
/persist/journal         /var/log/journal  none  bind,nofail,x-systemd.requires-mounts-for=/persist             0 0
END
mkdir -p "$root/etc/repart.d"
cp "$here"/state/repart.d/*.conf "$root/etc/repart.d"

# A slot proves itself, or is given up.
units=$root/etc/systemd/system
cp "$here/state/balanced-assess.service" "$here/state/balanced-give-up.service" "$here/state/balanced-give-up.timer" "$units"
mkdir -p "$units/emergency.target.d"
cp "$here/state/emergency.conf" "$units/emergency.target.d/balanced-give-up.conf"
chroot "$root" systemctl enable --quiet balanced-assess.service balanced-give-up.timer

# Enough network for a machine to be provisioned; the role that provisions it writes the same file.
cp "$here/../ansible/roles/base/files/dhcp.network" "$root/etc/systemd/network/89-balanced-dhcp.network"
# A resolver for this node, that neither asks nor answers the neighbourhood.
mkdir -p "$root/etc/systemd/resolved.conf.d"
printf '[Resolve]\nLLMNR=no\nMulticastDNS=no\n' >"$root/etc/systemd/resolved.conf.d/balanced.conf"
chroot "$root" systemctl enable --quiet systemd-networkd.service systemd-resolved.service ssh.service
ln -sf ../run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"
rm -f "$root/etc/hostname"
printf '127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n' >"$root/etc/hosts"
: >"$root/etc/machine-id"
chmod 0444 "$root/etc/machine-id"
mkdir -p "$root/etc/systemd/system/sshd-keygen.service.d"
cp "$here/../ansible/roles/sysprep/files/keygen.conf" "$root/etc/systemd/system/sshd-keygen.service.d/balanced.conf"
rm -f "$root"/etc/ssh/ssh_host_*
chroot "$root" passwd --quiet --lock root
