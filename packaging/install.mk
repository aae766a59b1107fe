# Installation after the GNU conventions: DESTDIR and the directory variables below can be given on the command line.
ROLE ?= device
# The services run on the system's Python: their sandbox hides a Python that lies in a user's home.
SYSTEM_PYTHON ?= /usr/bin/python3
# systemd before 254 cannot lengthen the pause after each failed start, and would complain about settings that it does not
# know.
SYSTEMD_VERSION ?= $(shell systemctl --version 2>/dev/null | sed -n '1s/^systemd \([0-9]*\).*/\1/p')

prefix = /usr/local
exec_prefix = $(prefix)
bindir = $(exec_prefix)/bin
libdir = $(exec_prefix)/lib
datarootdir = $(prefix)/share
datadir = $(datarootdir)
mandir = $(datarootdir)/man
# systemd fixes the first two for its services, and reads units in few places only.
sysconfdir = /etc
localstatedir = /var
systemddir = $(if $(filter /usr /usr/local,$(prefix)),$(prefix)/lib,/etc)/systemd
unitdir = $(systemddir)/system
catalogdir = $(systemddir)/catalog
sysusersdir = $(systemddir:/systemd=/sysusers.d)
completiondir = $(datadir)/bash-completion/completions

INSTALL = install
INSTALL_DATA = $(INSTALL) -m 644

private = $(libdir)/collabd
venv = $(private)/venv
share = $(datadir)/collabd
models = $(share)/models

# SOURCE:TARGET of every text file to install; @venv@ and @models@ in it become the paths above.
units = $(foreach unit,$(1),packaging/systemd/$(unit):$(unitdir)/$(unit))
back_off = packaging/systemd/back-off.conf:$(unitdir)/$(1).service.d/back-off.conf
users = packaging/systemd/$(1).sysusers:$(sysusersdir)/$(1).conf
manual = $(foreach page,$(1),$(if $(filter %.5,$(page)),build,packaging)/man/$(page):$(mandir)/man$(subst .,,$(suffix $(page)))/$(page))
# For both roles: `collabctl pair` makes the keys on a companion, and reads them in on a device.
common_texts = $(call manual,collabctl.1) \
    packaging/collabctl.in:$(bindir)/collabctl packaging/completion/collabctl:$(completiondir)/collabctl
device_texts = $(call units,collabd.service collabd.socket) $(call users,collabd) \
    $(call manual,collabd.8 collabd.toml.5) \
    packaging/systemd/collabd.catalog:$(catalogdir)/collabd.catalog
companion_texts = $(call units,collab-cloudd.service) $(call users,collab-cloudd) \
    $(call manual,collab-cloudd.8 collab-cloudd.toml.5)
device_daemon = collabd
companion_daemon = collab-cloudd
device_back_off = $(call back_off,collabd)
companion_back_off = $(call back_off,collab-cloudd)

roles = $(if $(filter both,$(ROLE)),device companion,$(ROLE))
of_roles = $(foreach role,$(roles),$($(role)_$(1)))
back_offs = $(if $(shell test 0$(SYSTEMD_VERSION) -lt 254 || echo new),$(call of_roles,back_off))
targets = $(foreach text,$(1),"$(DESTDIR)$(lastword $(subst :, ,$(text)))")
# With DESTDIR set, make touches no running system.
running = $(if $(DESTDIR),,$(wildcard /run/systemd/system))

stop = $(if $(running),$(addprefix systemctl --quiet disable --now ,$(addsuffix ;,$(notdir $(wildcard $(addprefix $(unitdir)/,collab*d.service collab*d.socket))))))

# Directories that `make install` may have made; below DESTDIR, their parents too.
folders = $(private) $(sysconfdir)/collabd $(addprefix $(unitdir)/,collabd.service.d collab-cloudd.service.d) $(unitdir) $(catalogdir) $(systemddir) $(sysusersdir) $(completiondir) \
    $(patsubst %/,%,$(dir $(completiondir))) $(addprefix $(mandir)/man,1 5 8)
rmdir = rmdir --ignore-fail-on-non-empty
prune = { $(if $(DESTDIR),cd "$(DESTDIR)" && $(rmdir) -p $(patsubst /%,%,$(folders) $(bindir) $(datadir) $(sysconfdir) $(localstatedir)/lib),$(rmdir) $(folders)); } 2>/dev/null || :

packages = $(patsubst models/%/package,%,$(wildcard models/*/package))

.PHONY: wheels install uninstall purge

# A checksum of their inputs, not a time, says whether the wheels fit: so a copy of the checkout installs without a network.
inputs := $(shell { sed -n -e '/^dependencies/,/^]/p' -e '/^find = /p' -e '/^frigate = /p' pyproject.toml sdk/pyproject.toml; $(SYSTEM_PYTHON) -VV; uname -m; } 2>/dev/null | cksum | cut -d ' ' -f 1)
fetched := build/wheels/.fetched-$(inputs)

wheels: build/wheels/.built build/man/collabd.toml.5 build/man/collab-cloudd.toml.5  ## Fetch and build what `make install` installs

build/tools:
	@$(SYSTEM_PYTHON) -m venv $@ || { rm -rf $@; echo "the venv module is missing: sudo apt install python3-venv"; exit 1; }

$(fetched): | build/tools
	@echo "fetching the dependencies into build/wheels ..."
	@rm -rf build/fetched
	@packaging/wheels.sh build/fetched 'setuptools>=77'
	@rm -rf build/wheels
	@mv build/fetched build/wheels
	@touch $@

build/wheels/.built: $(fetched) $(shell find collabd sdk/collab_sdk -name '*.py')
	@rm -f build/wheels/collab*.whl
	@packaging/wheels.sh build/wheels --no-deps --no-index --find-links build/wheels
	@touch $@

build/man/%.5: packaging/man/%.5.in etc/% packaging/man/settings.py
	@mkdir -p $(@D)
	@$(SYSTEM_PYTHON) packaging/man/settings.py $< etc/$* >$@

# The user who called sudo fetches and builds; root only installs.
install:  ## Install as a service: sudo make install [ROLE=device|companion|both] [prefix=/usr/local] [DESTDIR=]
	@$(if $(filter device companion both,$(ROLE)),,echo "ROLE is device, companion or both" >&2; exit 2)
	@$(if $(filter /etc:/var,$(sysconfdir):$(localstatedir)),,echo "the services read /etc and write /var/lib: do not set sysconfdir or localstatedir" >&2; exit 2)
	@$(if $(SUDO_USER),sudo -u $(SUDO_USER)) $(MAKE) --silent --no-print-directory wheels SYSTEM_PYTHON=$(SYSTEM_PYTHON)
	@packaging/venv.sh $(SYSTEM_PYTHON) build/wheels "$(DESTDIR)" $(venv)
	@set -e; for text in $(common_texts) $(call of_roles,texts) $(back_offs); do \
	    target="$(DESTDIR)$${text#*:}"; \
	    $(INSTALL_DATA) -D "$${text%:*}" "$$target"; \
	    sed -i -e 's|@venv@|$(venv)|g' -e 's|@models@|$(models)|g' "$$target"; \
	done
	@chmod 755 "$(DESTDIR)$(bindir)/collabctl"
	@set -e; for name in $(packages); do \
	    $(INSTALL) -d "$(DESTDIR)$(models)/$$name"; \
	    $(INSTALL_DATA) models/$$name/package/* "$(DESTDIR)$(models)/$$name"; \
	done
	@rm -f "$(DESTDIR)$(share)"/collab_sdk-*.whl
	@$(INSTALL_DATA) build/wheels/collab_sdk-*.whl "$(DESTDIR)$(share)"
	@set -e; for name in $(call of_roles,daemon); do \
	    packaging/conffile.sh install etc/$$name.toml "$(DESTDIR)$(share)/$$name.toml" "$(DESTDIR)$(sysconfdir)/collabd/$$name.toml"; \
	done
	@$(if $(DESTDIR),,packaging/next.sh $(sysusersdir) $(sysconfdir)/collabd $(share) $(call of_roles,daemon))

uninstall:  ## Remove what `make install` installed; changed configuration, keys and state stay
	@$(stop)
	@rm -f $(call targets,$(common_texts) $(device_texts) $(companion_texts) $(device_back_off) $(companion_back_off))
	@set -e; for name in $(device_daemon) $(companion_daemon); do \
	    packaging/conffile.sh remove "$(DESTDIR)$(share)/$$name.toml" "$(DESTDIR)$(sysconfdir)/collabd/$$name.toml"; \
	done
	@rm -rf "$(DESTDIR)$(private)" "$(DESTDIR)$(share)"
	@$(prune)
	@$(if $(running),systemctl daemon-reload; journalctl --update-catalog)

purge:  ## Uninstall, and remove configuration, keys and state too; the users and the group stay, as in Debian
	@$(stop)
	@rm -rf "$(DESTDIR)$(sysconfdir)/collabd" $(foreach daemon,$(device_daemon) $(companion_daemon),"$(DESTDIR)$(localstatedir)/lib/$(daemon)")
	@$(MAKE) --no-print-directory uninstall
