SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

GO      ?= go
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -X main.release=$(VERSION)

# Where `make install` puts things; DESTDIR goes before all of it.
PREFIX     ?= /usr
SYSCONFDIR ?= /etc
BINDIR      = $(PREFIX)/bin
UNITDIR     = $(PREFIX)/lib/systemd/system
DOCDIR      = $(PREFIX)/share/doc/lifeline
COMPLETIONS = bash:bash-completion/completions/lifeline zsh:zsh/site-functions/_lifeline fish:fish/vendor_completions.d/lifeline.fish

.PHONY: help
help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## bin/lifeline, one static binary
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w $(LDFLAGS)' -o bin/lifeline ./cmd/lifeline

.PHONY: install
install: build ## the binary, the unit, an example configuration, completions (DESTDIR=, PREFIX=)
	install -D -m 755 bin/lifeline $(DESTDIR)$(BINDIR)/lifeline
	install -D -m 644 configs/packaging/systemd/lifeline.service $(DESTDIR)$(UNITDIR)/lifeline.service
	sed -i 's#/usr/bin/lifeline#$(BINDIR)/lifeline#; s#/usr/share/doc/lifeline#$(DOCDIR)#' $(DESTDIR)$(UNITDIR)/lifeline.service
	install -D -m 640 configs/example.toml $(DESTDIR)$(SYSCONFDIR)/lifeline/lifeline.toml.example
	[ -e $(DESTDIR)$(SYSCONFDIR)/lifeline/lifeline.toml ] || \
		install -m 640 configs/example.toml $(DESTDIR)$(SYSCONFDIR)/lifeline/lifeline.toml
	install -d $(DESTDIR)$(DOCDIR)
	install -m 644 README.md docs/*.md docs/*.json configs/packaging/systemd/lifeline.service.d/example.conf $(DESTDIR)$(DOCDIR)
	for c in $(COMPLETIONS); do \
		install -d $(DESTDIR)$(PREFIX)/share/$$(dirname $${c#*:}); \
		bin/lifeline completion $${c%%:*} >$(DESTDIR)$(PREFIX)/share/$${c#*:}; \
	done
	@echo "next: systemctl daemon-reload && systemctl enable --now lifeline"

.PHONY: uninstall
uninstall: ## what install put there, but not the configuration, nor what the daemon keeps
	@[ -n "$(DESTDIR)" ] || ! systemctl is-active --quiet lifeline 2>/dev/null || \
		{ echo "it runs: systemctl disable --now lifeline"; exit 1; }
	rm -f $(DESTDIR)$(BINDIR)/lifeline $(DESTDIR)$(UNITDIR)/lifeline.service $(DESTDIR)$(SYSCONFDIR)/lifeline/lifeline.toml.example
	rm -rf $(DESTDIR)$(DOCDIR)
	for c in $(COMPLETIONS); do rm -f $(DESTDIR)$(PREFIX)/share/$${c#*:}; done
	@echo "left: $(SYSCONFDIR)/lifeline (configuration), /var/lib/lifeline (journal, alerts)"

.PHONY: run
run: ## build, then watch over this host in the foreground (as root; Ctrl-C undoes everything)
	@configs/packaging/setup.sh run
	@$(MAKE) --no-print-directory build
	@bin/lifeline run $(ARGS)

.PHONY: demo
demo: build ## re-enact the incident in network namespaces, without and with Lifeline (as root)
	@bin/lifeline demo $(ARGS)

.PHONY: bench-lab
bench-lab: build ## measure the incident in every combination, and write its section of docs/benchmarks.md (as root)
	@$(GO) run ./cmd/dev/benchlab $(ARGS)

# Each of these writes one section of docs/benchmarks.md and leaves the others.
.PHONY: bench bench-rules bench-alerts bench-preboot bench-idle
bench: bench-rules bench-alerts bench-preboot ## measure the code, and write the sections of docs/benchmarks.md

bench-idle: ## measure what the daemon takes while nothing is transferred (as root; two minutes)
	@$(GO) test -run '^$$' -bench Idle -benchtime 1x -count 1 ./cmd/lifeline | \
		$(GO) run ./cmd/dev/benchpage -section idle -command 'make bench-idle'

bench-rules: ## measure reading and analysing rule files of 1,000 to 100,000 rules
	@$(GO) test -run '^$$' -bench . -benchtime 3x -count 5 ./probes/iptables | \
		$(GO) run ./cmd/dev/benchpage -section rules -command 'make bench-rules'

bench-alerts: ## measure a spool of 100,000 alerts: its size, a start with it, and the way to a receiver
	@$(GO) test -run '^$$' -bench . -benchtime 1x -count 3 ./watchdog/alert | \
		$(GO) run ./cmd/dev/benchpage -section alerts -command 'make bench-alerts'

bench-preboot: ## measure the whole answer before a reboot, with the rehearsal (as root)
	@$(GO) test -run '^$$' -bench Check -benchtime 5x -count 5 ./probes/preboot | \
		$(GO) run ./cmd/dev/benchpage -section preboot -command 'make bench-preboot'

# The packages whose tests measure real transfers have the machine to themselves, one
# package after the other; most of their tests wait, so that four run at once. The
# controller is one long run of code without goroutines, of which the race detector
# learns nothing. All others run side by side.
LAB_PACKAGES  = lifeline/(cmd/lifeline|probes/rsync|remediate.*)
PURE_PACKAGES = lifeline/watchdog/control

.PHONY: test
test: ## everything: lint, unit, fuzz seeds, race detector, network namespaces
	@configs/packaging/setup.sh test
	@$(MAKE) --no-print-directory lint
	@echo "tests"; ok=true; { \
		$(GO) test -json $(PURE_PACKAGES) || ok=false; \
		$(GO) test -race -p 2 -timeout 14m -json $$($(GO) list ./... | grep -vxE '$(LAB_PACKAGES)|$(PURE_PACKAGES)') || ok=false; \
		$(GO) test -race -p 1 -parallel 4 -timeout 14m -json $$($(GO) list ./... | grep -xE '$(LAB_PACKAGES)') || ok=false; \
		$$ok; \
	} | $(GO) run ./cmd/dev/testreport

.PHONY: soak-alerts
soak-alerts: ## alerts with every default timing: a real Alertmanager, a dead path of 60 s (as root; 15 minutes)
	@configs/packaging/setup.sh test
	@LIFELINE_SOAK=1 $(GO) test -count=1 -v -timeout 30m -run Soak ./watchdog/alert ./cmd/lifeline

DAMAGES ?= 1000

.PHONY: soak-attack
soak-attack: ## attacks that take longer than make test may: DAMAGES random damages of each file, a target that lies (as root)
	@LIFELINE_DAMAGES=$(DAMAGES) $(GO) test -count=1 -v -timeout 30m -run '^TestRandomDamage$$' ./watchdog/facts ./watchdog/alert/spool
	@LIFELINE_SOAK=1 $(GO) test -count=1 -v -timeout 30m -run '^TestLiarSoak$$' ./cmd/lifeline

MINUTES ?= 10

.PHONY: soak-rules
soak-rules: ## random rule files against the kernel for MINUTES, new ones each time (as root)
	@LIFELINE_DIFFERENTIAL=$$((60 * $(MINUTES))) $(GO) test -count 1 -v -timeout $$(($(MINUTES) + 5))m -run '^TestDifferential$$' ./probes/preboot

.PHONY: lint
lint: ## gofmt, go vet, staticcheck, the layers
	@echo "gofmt"; out=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$out" ] || { echo "not gofmt-ed: $$out"; exit 1; }
	@echo "go mod tidy, go vet"; $(GO) mod tidy -diff; $(GO) vet ./...
	@echo "staticcheck"; $(GO) tool staticcheck ./...
	@echo "layers"; $(GO) list -json=ImportPath,Imports ./... | $(GO) run ./cmd/dev/layers
