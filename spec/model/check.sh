#!/bin/sh
# Checks the model of the queue with spin, then that every seeded fault is
# found. Exit status 0: all properties hold and every fault fails. Needs spin and
# a C compiler; works in a temporary directory.
set -u
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
bad=0

# verify NAME WHAT FLAGS...: WHAT is safety, or the name of a liveness formula.
# Prints spin's verdict: 0 errors, errors, or nothing when it could not tell.
verify() {
	dir=$work/$1 what=$2
	shift 2
	mkdir -p "$dir" && cd "$dir" || return
	spin -a "$@" "$here/queue.pml" >spin.log 2>&1 || { cat spin.log >&2; return; }
	case $what in
	safety) opt='-DSAFETY -DNOCLAIM' run='-m100000' ;;
	never_lost | one_holder) opt=-DSAFETY run="-m100000 -N $what" ;;
	*) opt=-DNFAIR=3 run="-m100000 -a -f -N $what" ;;
	esac
	${CC:-cc} -O1 -w -DMEMLIM=1024 -DCOLLAPSE $opt -o pan pan.c >cc.log 2>&1 || { cat cc.log >&2; return; }
	./pan $run >pan.log 2>&1
	grep -q 'max search depth too small\|out of memory\|aborting' pan.log && { cat pan.log >&2; return; }
	sed -n 's/.*errors: \([0-9]*\).*/\1/p' pan.log
}

holds() {
	errors=$(verify "$@")
	if [ "$errors" = 0 ]; then
		echo "ok    $2 holds"
	else
		echo "FAIL  $2: ${errors:-no verdict} errors"
		bad=1
	fi
}

# found FAULT PROPERTY...: one of the properties has to fail.
found() {
	fault=$1
	shift
	for what; do
		errors=$(verify "$fault-$what" "$what" "-DFAULT_$fault")
		if [ "${errors:-0}" != 0 ]; then
			echo "ok    $fault is found by $what"
			return
		fi
	done
	echo "FAIL  $fault is not found by $*"
	bad=1
}

holds safety safety
holds never_lost never_lost
holds one_holder one_holder
holds always_gone always_gone

found ACK_BEFORE_SYNC never_lost
found NO_FENCING safety
found DOUBLE_GRANT safety
found DELIVER_UNJUDGED safety
found DELIVER_STAGED safety
found VERDICT_LAZY safety
found TORN_VERDICT safety
found FINISH_BEFORE_REPORT never_lost
found LEASE_NEVER_ENDS always_gone
exit $bad
