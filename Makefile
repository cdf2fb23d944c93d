# Every way to build, test and show the project. `make help` lists them.

PYTHON ?= python3
BIN := .venv/bin
VENV := .venv/.installed
# How many kernels share the lab tests (empty: one for each core, at most two).
LAB_KERNELS ?=
# What the lab runs; `make lab LAB_TESTS=tests/lab/test_lab_itself.py` runs a part of it.
LAB_TESTS ?= tests/lab tests/contract/kernel
# How long `make soak` lasts, in seconds.
SOAK_S ?= 600
# Disks, updates and volumes as nodes have them. systemd-repart is a package of its own since Debian 13.
SLOT_PACKAGES := gdisk mtools e2fsprogs zstd openssh-client genisoimage \
  $(shell . /etc/os-release 2>/dev/null; [ "$${VERSION_ID:-12}" = 12 ] || echo systemd-repart)
# What building the journal's C extension takes.
JOURNAL_PACKAGES := gcc libsystemd-dev pkg-config python3-dev
PACKAGES := user-mode-linux bird2 ipvsadm keepalived iproute2 tcpdump curl kmod procps iputils-ping openssl nftables \
  python3-venv systemd containerd runc busybox-static iptables $(SLOT_PACKAGES) $(JOURNAL_PACKAGES)

CACHE := $(or $(BALANCED_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/balanced-appliance)
# What makes an image: Debian's root, the disk without loop devices, and the machine that Ansible works on. Debian 13 has no
# Packer any more: there it is HashiCorp's, installed by hand.
ROOT_PACKAGES := mmdebstrap uidmap fakeroot debian-archive-keyring
IMAGE_PACKAGES := $(ROOT_PACKAGES) $(SLOT_PACKAGES) squashfs-tools busybox-static qemu-system-x86 qemu-utils ovmf \
  ipxe-qemu $(if $(shell command -v packer),,packer)
# Ansible and testinfra, apart from the product's environment, and named by their versions: other trees use the same cache.
IMAGE_TOOLS := $(CACHE)/image-tools-$(shell sha256sum image/requirements.lock | cut -c 1-16)
MAKE_IMAGE := $(BIN)/python -m image.build $(IMAGE_TOOLS)/bin/ansible-playbook
# What `make image-bed` runs; BED_TESTS=tests/image/test_image_slots.py runs a part of it.
BED_TESTS ?= tests/image
# The Debian release of the nodes that `make wheelhouse` is for.
RELEASE ?= trixie

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help venv setup birds kube lint unit golden contract playbooks lab faults test soak storm demo bench clean \
  wheelhouse image-tools image image-test image-check image-bed

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

venv: $(VENV) ## make .venv, with the balanced command and every tool in it
	@:

$(VENV): requirements-dev.lock pyproject.toml
	@tests/lab/setup.sh python3-venv $(JOURNAL_PACKAGES)
	@echo "venv: installing what requirements-dev.lock names into .venv"
	@$(PYTHON) -m venv --clear .venv  # over an older one it would mix two Pythons
	@$(BIN)/pip install --quiet --require-hashes -r requirements-dev.lock
	@$(BIN)/pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

setup: ## install the Debian packages that the lab needs, where missing (as root or by sudo)
	@tests/lab/setup.sh $(PACKAGES)

birds: venv ## fetch every supported BIRD version into a cache outside the tree
	@$(BIN)/python -m tests.lab.birds

kube: venv ## make a kube-apiserver and etcd in a cache outside the tree, where KUBEBUILDER_ASSETS names none
	@$(BIN)/python -m tests.kube.assets

lint: venv image-tools ## ruff, mypy, import-linter, ansible-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@cd ansible && PATH="$(IMAGE_TOOLS)/bin:$$PATH" ansible-lint --offline --profile production --nocolor

unit: venv ## unit tests: no network, no kernel, no other program
	$(BIN)/python -m pytest tests/unit

golden: venv setup birds ## rendered texts and bytes against files, and those files against every BIRD and nft
	$(BIN)/python -m pytest tests/golden

contract: venv setup birds kube ## one suite for a fake and for the real thing
	$(BIN)/python -m pytest tests/contract

lab: venv setup birds kube ## tests with real packets in a kernel of their own (LAB_KERNEL=host: in this machine's)
	$(BIN)/python -m tests.lab.shards --kernels "$(LAB_KERNELS)" $(LAB_TESTS)

faults: venv setup birds ## break everything in docs/faults.md, and print what the router saw and how soon
	@rm -rf .cache/faults
	@$(BIN)/python -m tests.lab.shards --kernels "$(LAB_KERNELS)" tests/lab/faults; \
	  status=$$?; $(BIN)/python -m tests.lab.faults.report; exit $$status

playbooks: image-tools ## in which order rolling.yml takes directors and where it stops, without machines
	$(IMAGE_TOOLS)/bin/python -m pytest --confcutdir=tests/playbooks tests/playbooks

test: setup venv birds kube lint unit golden contract playbooks lab image-check ## everything above, and a booted image

soak: venv setup birds ## ten minutes of random faults, judged from outside (SOAK_S, SOAK_SEED, SOAK_EVERY_S)
	@SOAK_S=$(SOAK_S) $(BIN)/python -m tests.lab.shards --kernels 1 --timeout-s $$(( $(SOAK_S) + 600 )) \
	  tests/lab/soak/test_soak.py -s

storm: venv ## ten minutes of a thousand changes a second at an API server (STORM_S)
	@STORM_S=$(or $(STORM_S),600) $(BIN)/python -m pytest -s tests/contract/kube/test_storm.py

demo: venv setup birds ## watch it work: two directors, one is broken, traffic goes on
	@$(BIN)/python tests/lab/boot.py --timeout-s 180 -- $(BIN)/python tests/lab/demo.py

bench: venv setup birds ## measure it, in the lab kernel
	@$(BIN)/python tests/lab/boot.py --timeout-s 3600 -- $(BIN)/python tests/bench/bench.py

wheelhouse: venv ## the appliance and all it needs as wheels for one Debian release (RELEASE=bookworm)
	@tests/lab/setup.sh $(ROOT_PACKAGES)
	@$(BIN)/python -m image.wheelhouse --release $(RELEASE)

image-tools: $(IMAGE_TOOLS)/.installed ## Ansible and testinfra in an environment of their own, outside the tree
	@:

$(IMAGE_TOOLS)/.installed:
	@tests/lab/setup.sh python3-venv
	@echo "image-tools: installing what image/requirements.lock names into $(IMAGE_TOOLS)"
	@$(PYTHON) -m venv --clear $(IMAGE_TOOLS)
	@$(IMAGE_TOOLS)/bin/pip install --quiet --require-hashes -r image/requirements.lock
	@touch $@

image: venv image-tools ## build the image (or take the last one of the same content) and print where it lies
	@tests/lab/setup.sh $(IMAGE_PACKAGES)
	@$(MAKE_IMAGE)

image-test: venv image-tools ## boot the image under BIOS, UEFI, from the network and with a stick, and look at it from inside
	@tests/lab/setup.sh $(IMAGE_PACKAGES)
	@image=$$($(MAKE_IMAGE)) && $(IMAGE_TOOLS)/bin/python -m image.verify "$$image/balanced-appliance.qcow2"

image-check: venv image-tools ## the same in short, under BIOS and UEFI, with the last image of the same recipe (what `make test` does)
	@tests/lab/setup.sh $(IMAGE_PACKAGES)
	@image=$$($(MAKE_IMAGE) --ci) && \
	  $(IMAGE_TOOLS)/bin/python -m image.verify "$$image/balanced-appliance.qcow2" bios uefi -k "not roles"

image-bed: venv image-tools ## two booted directors behind a router: provisioned, broken, rolled over, updated (an hour; BED_TESTS)
	@tests/lab/setup.sh $(IMAGE_PACKAGES)
	@image=$$($(MAKE_IMAGE)) && disk=$$($(BIN)/python -m image.base) && wheels=$$($(BIN)/python -m image.wheelhouse) && \
	  $(IMAGE_TOOLS)/bin/python -m pytest --confcutdir=tests/image $(BED_TESTS) -m bed \
	    --published="$$image" --disk="$$disk" --wheelhouse="$$wheels"

clean: ## remove .venv, caches and test results (not the fetched BIRDs)
	rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
