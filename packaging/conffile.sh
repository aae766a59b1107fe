#!/bin/sh
# Treats a configuration file as Debian treats conffiles: it never overwrites or removes a file that its owner changed.
#   conffile.sh install NEW SHIPPED LIVE    SHIPPED is the installed version: a LIVE that differs was changed
#   conffile.sh remove SHIPPED LIVE
set -eu

same() { cmp -s "$1" "$2"; }

place() {
    new=$1 shipped=$2 live=$3
    if [ ! -e "$shipped" ] && [ ! -e "$live" ] || same "$live" "$shipped"; then
        install -D -m 644 "$new" "$live"
    elif [ -e "$live" ] && ! same "$live" "$new" && ! same "$shipped" "$new"; then
        install -m 644 "$new" "$live.new"
        echo "you changed $live, so it stays; the new version lies beside it as $live.new"
    fi
    install -D -m 644 "$new" "$shipped"
}

withdraw() {
    shipped=$1 live=$2
    if same "$live" "$shipped"; then
        rm -f "$live"
    elif [ -e "$live" ]; then
        echo "you changed $live, so it stays; make purge removes it"
    fi
    rm -f "$live.new" "$shipped"
}

case $1 in
install) shift && place "$@" ;;
remove) shift && withdraw "$@" ;;
esac
