# Jeroboam. "make help" lists what there is; README.md says what it is for.
SHELL := /bin/bash
.DEFAULT_GOAL := help
# One set of flags everywhere, so that one build cache serves every target.
export GOFLAGS := -trimpath -buildvcs=false
export CGO_ENABLED ?= 0
ARGS ?=
STRIP := -ldflags "-s -w"
TOOL := go tool -modfile=go.tools.mod

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: up
up: allinone ## a whole cloud service on this machine: make up ARGS="--help"
	@exec bin/jeroboam-allinone up $(ARGS)

.PHONY: build
build: ## bin/jeroboam, the one static binary
	@go build $(STRIP) -o bin/jeroboam .

.PHONY: allinone
allinone: ## bin/jeroboam-allinone; the first build compiles Kubernetes (about 11 minutes on two cores)
	@test/build-allinone.sh

.PHONY: capo
capo: build ## bin/capo-manager, Cluster API's OpenStack provider, for make up ARGS="--cloud ..." (about 3 minutes the first time)
	@bin/jeroboam bundle program capi-openstack-controller --output bin/capo-manager

.PHONY: test
test: allinone build ## every test that needs no root: units with the race detector, then against a real API server
	@CGO_ENABLED=1 go test -race -timeout 20m -skip '^TestSlow' $$(go list ./... | grep -v /test/)
	@CGO_ENABLED=1 go test -race -skip '^(TestLab|TestControlPlaneFromRegistry)$$' ./test/lab ./test/cloud/... ./test/internal/...
	@cd allinone && go test -short ./...
	@cd release && go test -short ./...
	@command -v haproxy >/dev/null || echo "haproxy is not installed (apt-get install haproxy): its fragments are compared, but not checked by haproxy itself"

.PHONY: e2e
e2e: allinone build ## the all-in-one driven by the real openstack client (Debian's python3-openstackclient, python3-magnumclient)
	@go test -count=1 -p 1 -timeout 40m -v -skip '^TestRotationWithTheClient$$' ./test/e2e ./test/e2e/faults
	@go test -count=1 -timeout 20m -v -run '^TestSlow' -skip '^TestSlowRotationOfThreeMasters$$' ./internal/controller # machines are replaced in turn
	@go test -count=1 -timeout 20m -v -run '^TestSlow' ./internal/controller/addon -args -idle-clusters 30 -idle-time 35s

.PHONY: e2e-rotation
e2e-rotation: allinone build ## authorities of clusters with one and three masters rotate (simulated machines; twenty minutes)
	@go test -count=1 -timeout 20m -v -run '^TestRotationWithTheClient$$' ./test/e2e
	@go test -count=1 -timeout 40m -v -run '^TestSlowRotation' ./internal/controller

space := $(subst ,, )
CLIENTS := TestClusterWithTheClient TestNewestMagnumClient TestGophercloud TestGophercloudsOwnTests TestOpenStackSDK TestAnsible TestTerraform TestTempest TestHeat TestHorizon
.PHONY: e2e-clients
e2e-clients: allinone build ## clients of the Magnum API against the all-in-one, each with its version (docs/clients.md)
	@test -x bin/terraform-provider-openstack || GOBIN=$(CURDIR)/bin go install \
		github.com/terraform-provider-openstack/terraform-provider-openstack/v3@v3.4.0 # about 3 minutes, once
	@test/e2e/newest-clients.sh
	@for p in python3-openstackclient python3-magnumclient python3-openstacksdk ansible magnum-tempest-plugin python3-heat python3-magnum-ui; do \
		dpkg-query -W -f '$${Package} $${Version}\n' $$p 2>/dev/null || echo "$$p is not installed"; done
	@go list -m github.com/gophercloud/gophercloud/v2
	@E2E_CLIENTS=1 go test -count=1 -p 1 -timeout 60m -v -run '^($(subst $(space),|,$(CLIENTS)))$$' ./test/e2e

.PHONY: e2e-proxy
e2e-proxy: allinone build ## the proxy in a lab of network namespaces (root; Debian's haproxy, kubernetes-client); ARGS=-full is all of it
	@test/e2e/proxy/build.sh
	@go test -count=1 -timeout 60m -v ./test/e2e/proxy $(ARGS)

.PHONY: bench
bench: allinone build ## throughput, latency, start-up and memory, as a table
	@go run ./test/bench $(ARGS)

.PHONY: bench-idle
bench-idle: allinone ## what a thousand clusters at rest cost the server: connections, memory, requests (docs/addons.md)
	@go test -count=1 -timeout 40m -v -run '^TestSlowIdleClusters$$' ./internal/controller/addon $(if $(ARGS),-args $(ARGS))

.PHONY: lab-up
lab-up: ## "physical hosts" on this machine, for jeroboam deploy: make lab-up ARGS="--hosts 3" (root, Debian 12)
	@go run ./test/lab up $(ARGS)

.PHONY: lab-down
lab-down: ## remove them and all their traces
	@go run ./test/lab down $(ARGS)

.PHONY: cloud-up
cloud-up: ## a real OpenStack on this machine: Debian's own, in a container (root, Debian 12; docs/cloud.md)
	@go run ./test/cloud up $(ARGS)

.PHONY: cloud-down
cloud-down: ## remove it and all its traces
	@go run ./test/cloud down $(ARGS)

.PHONY: cloud-status
cloud-status: ## which of its services answers
	@go run ./test/cloud status $(ARGS)

.PHONY: e2e-cloudhost
e2e-cloudhost: ## the cloud itself: made, killed half way, made again, a server and a load balancer in it, and nothing left (root, Debian 12)
	@CLOUD_TEST=1 go test -count=1 -timeout 60m -v ./test/cloud/... $(ARGS)

.PHONY: e2e-lab
e2e-lab: ## the lab itself: a host is made, interrupted, made again, loses power, and leaves nothing (root, Debian 12)
	@go test -count=1 -timeout 30m -v ./test/lab

.PHONY: e2e-deploy
e2e-deploy: build ## jeroboam deploy on the lab's hosts: make lab-up and a bundle first (BUNDLE=DIR, LAB_DIR=DIR); ARGS="-run TestDeploy" for a part
	@go build -o bin/lab ./test/lab
	@LAB_PROGRAM=$(CURDIR)/bin/lab LAB_DIR=$${LAB_DIR:-/var/tmp/jeroboam-lab} BUNDLE=$$(realpath $${BUNDLE:-bundle}) JEROBOAM=$(CURDIR)/bin/jeroboam \
		go test -count=1 -timeout 60m -v -skip '^(TestBackupAndRestore|TestWhole|TestBesideCloud)$$' ./test/e2e/deploy $(ARGS)

.PHONY: e2e-whole
e2e-whole: build ## one apply to a working Magnum, and all that can happen to it: make lab-up ARGS="--keystone" and a bundle first (BUNDLE=DIR, LAB_DIR=DIR); beside a real cloud with ARGS="--cloud DIR" there, and CLOUD_DIR=DIR and NODE_IMAGE=FILE, or NODE_IMAGE_NAME=NAME of one in Glance, here
	@go build -o bin/lab ./test/lab
	@LAB_PROGRAM=$(CURDIR)/bin/lab LAB_DIR=$${LAB_DIR:-/var/tmp/jeroboam-lab} BUNDLE=$$(realpath $${BUNDLE:-bundle}) JEROBOAM=$(CURDIR)/bin/jeroboam \
		CLOUD_DIR=$${CLOUD_DIR:-} NODE_IMAGE_NAME=$${NODE_IMAGE_NAME:-} NODE_IMAGE=$${NODE_IMAGE:+$$(realpath $$NODE_IMAGE)} \
		go test -count=1 -timeout 2h -v -run "^Test$$([ -n "$$CLOUD_DIR" ] && echo BesideCloud || echo Whole)$$" ./test/e2e/deploy $(ARGS)

.PHONY: e2e-backup
e2e-backup: build ## a control plane is lost and made anew from a backup: make lab-up and a bundle first (BUNDLE=DIR, LAB_DIR=DIR)
	@go build -o bin/lab ./test/lab
	@LAB_PROGRAM=$(CURDIR)/bin/lab LAB_DIR=$${LAB_DIR:-/var/tmp/jeroboam-lab} BUNDLE=$$(realpath $${BUNDLE:-bundle}) JEROBOAM=$(CURDIR)/bin/jeroboam \
		go test -count=1 -timeout 60m -v -run '^TestBackupAndRestore$$' ./test/e2e/deploy

.PHONY: e2e-image
e2e-image: ## an image of nodes boots in qemu, by BIOS and UEFI, without hardware's help (IMAGE=FILE; Debian's qemu-system-x86, ovmf, mtools)
	@IMAGE=$$(realpath $${IMAGE:-node.raw}) go test -count=1 -timeout 90m -v -run TestBoots ./test/e2e/image $(ARGS)

.PHONY: e2e-registry
e2e-registry: build ## a node's containerd pulls all that a workload cluster needs from "bundle serve" (root; BUNDLE=DIR, NODE=FILE of the kind container)
	@NODE=$$(realpath $${NODE:-node.raw}) BUNDLE=$$(realpath $${BUNDLE:-bundle}) JEROBOAM=$(CURDIR)/bin/jeroboam \
		go test -count=1 -timeout 20m -v -run TestPullsFromBundle ./test/e2e/image

.PHONY: e2e-cloud
e2e-cloud: build allinone ## clusters on a real OpenStack: make cloud-up and capo first (BUNDLE=DIR, NODE_IMAGE=FILE, CLOUD_DIR=DIR); docs/cloud.md
	@go build -o bin/cloud ./test/cloud
	@CLOUD_PROGRAM=$(CURDIR)/bin/cloud CLOUD_DIR=$${CLOUD_DIR:-/var/tmp/jeroboam-cloud} NODE_IMAGE=$$(realpath $${NODE_IMAGE:-node.raw}) \
		BUNDLE=$$(realpath $${BUNDLE:-bundle}) CATALOGUE=$$(realpath $${CATALOGUE:-$${BUNDLE:-bundle}/files/addons}) \
		NODE_IMAGE_BEFORE=$${NODE_IMAGE_BEFORE:+$$(realpath $$NODE_IMAGE_BEFORE)} \
		JEROBOAM=$(CURDIR)/bin/jeroboam ALLINONE=$(CURDIR)/bin/jeroboam-allinone \
		go test -count=1 -timeout 3h -v ./test/e2e/cloud $(ARGS)

.PHONY: release
release: ## static binaries, Debian packages, an image, SBOM and checksums of this commit in dist/ (docs/release.md)
	@cd release && go run . $(ARGS)

.PHONY: e2e-release
e2e-release: ## a release is made twice and compared, and its package is installed in a Debian of its own (root for that part)
	@cd release && go test -count=1 -v ./... $(ARGS)

.PHONY: lint
lint: ## golangci-lint with the reasons in .golangci.yaml
	@$(TOOL) golangci-lint run ./...
	@for module in allinone release; do (cd $$module && go tool -modfile=../go.tools.mod golangci-lint run --config ../.golangci.yaml ./...) || exit; done

.PHONY: generate
generate: ## custom resource definitions, deep copies and docs/labels.md, from the code
	@$(TOOL) controller-gen object paths=./internal/crd/v1alpha1
	@$(TOOL) controller-gen crd paths=./internal/crd/v1alpha1 output:crd:dir=internal/crd/manifests
	@go test ./internal/label -run Documentation -update >/dev/null

.PHONY: clean
clean: ## remove what was built and the data of "make up" (not Go's caches)
	@rm -rf bin dist .jeroboam
