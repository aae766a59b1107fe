#!/bin/sh
# next.sh SYSUSERSDIR CONFIGDIR SHARE DAEMON ...: make the daemons' users, show systemd the new units, and say what is next.
set -eu
sysusers=$1 config=$2 share=$3
shift 3

for daemon; do systemd-sysusers "$sysusers/$daemon.conf"; done
[ ! -d /run/systemd/system ] || { systemctl daemon-reload && journalctl --update-catalog; }

start() {
    if systemctl --quiet is-active "$1" 2>/dev/null; then
        echo "  sudo systemctl restart $1    # the old version still runs"
    else
        echo "  sudoedit $config/$1.toml    # see: man $1.toml"
        echo "  sudo systemctl enable --now $1"
    fi
}

echo "Installed. Next:"
for daemon; do
    start "$daemon"
    [ "$daemon" != collab-cloudd ] || echo "  sudo collabctl pair new DEVICE    # makes the keys for a device; see: man collabctl"
    [ "$daemon" != collabd ] || cat <<NEXT
  sudo usermod -aG collab \$USER    # lets this user call collabd, from the next login on
  collabctl wait && collabctl status
  pip install $share/collab_sdk-*.whl    # in the environment of your application
NEXT
done
