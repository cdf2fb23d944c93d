# The base disk boots, Ansible makes a node of it, the disk that is left is the image. One file for Packer 1.6.6 (Debian 12) and
# for newer ones, which want plugins.pkr.hcl beside it: `make image` knows which is which.

variable "base" {
  type        = string
  description = "The raw disk to start from."
}

variable "wheelhouse" {
  type        = string
  description = "The archive with the appliance and its dependencies."
}

variable "output" {
  type        = string
  description = "The folder to make; it must not be there."
}

variable "ssh_private_key" {
  type        = string
  description = "The key that Packer and Ansible log in with. It is not in the image, neither before nor after."
}

variable "ssh_public_key" {
  type        = string
  description = "Its public half, in base64."
}

variable "ansible_playbook" {
  type        = string
  description = "The ansible-playbook to run."
}

variable "accelerator" {
  type        = string
  default     = "tcg"
  description = "kvm only where a guest was seen to start with it."
}

variable "boot_timeout" {
  type    = string
  default = "15m"
}

locals {
  # QEMU 7.2's cmpxchg16b corrupts flags under emulation, and kernels die of it.
  cpu = var.accelerator == "kvm" ? "host" : "max,-cx16,-la57,-pku"
}

source "qemu" "node" {
  disk_image       = true
  iso_url          = var.base
  iso_checksum     = "none"
  skip_resize_disk = true
  format           = "qcow2"
  disk_interface   = "virtio"
  disk_discard     = "unmap"
  net_device       = "virtio-net"
  machine_type     = "q35"
  accelerator      = var.accelerator
  cpus             = 2
  memory           = 2048
  headless         = true
  vm_name          = "node.qcow2"
  output_directory = var.output
  qemuargs = [
    ["-cpu", local.cpu],
    ["-device", "virtio-net,netdev=user.0"],
    ["-device", "virtio-rng-pci"],
    ["-serial", "file:${var.output}.console"],
    # systemd takes root's key from the firmware.
    ["-smbios", "type=11,value=io.systemd.credential.binary:ssh.authorized_keys.root=${var.ssh_public_key}"],
  ]
  communicator           = "ssh"
  ssh_username           = "root"
  ssh_private_key_file   = var.ssh_private_key
  ssh_timeout            = var.boot_timeout
  ssh_handshake_attempts = 100
  shutdown_command       = "systemctl poweroff"
  shutdown_timeout       = "5m"
}

build {
  sources = ["source.qemu.node"]

  provisioner "ansible" {
    command       = var.ansible_playbook
    playbook_file = "${path.root}/../ansible/bake.yml"
    user          = "root"
    # Packer's own proxy offers only keys that sshd of today refuses.
    use_proxy        = false
    ansible_env_vars = ["ANSIBLE_CONFIG=${path.root}/../ansible/ansible.cfg", "ANSIBLE_HOST_KEY_CHECKING=False", "ANSIBLE_FORCE_COLOR=0"]
    extra_arguments  = ["--extra-vars", "appliance_wheelhouse=${var.wheelhouse}"]
  }
}
